-- What a site has of its own in job_submit.lua, with csched's gate called from it.
dofile("$gate")
local csched_submit, csched_modify = slurm_job_submit, slurm_job_modify

function slurm_job_submit(job_desc, part_list, submit_uid)
   local comment = job_desc.comment or ""
   if comment == "site:refuse" then
      slurm.log_user("the site takes no such jobs")
      return slurm.ERROR
   elseif comment == "site:slow" then
      os.execute("sleep 2") -- inside slurmctld, under its locks: what a site should never do, and some do
   end
   return csched_submit(job_desc, part_list, submit_uid)
end

function slurm_job_modify(job_desc, job_rec, part_list, modify_uid)
   return csched_modify(job_desc, job_rec, part_list, modify_uid)
end

return slurm.SUCCESS

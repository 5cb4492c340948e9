-- What a site has of its own in job_submit.lua; csched's lines follow.
function slurm_job_submit(job_desc, part_list, submit_uid)
   local comment = job_desc.comment or ""
   if comment == "site:refuse" then
      slurm.log_user("the site takes no such jobs")
      return slurm.ERROR
   elseif comment == "site:slow" then
      os.execute("sleep 2") -- inside slurmctld, under its locks: what a site should never do, and some do
   end
   return slurm.SUCCESS
end

function slurm_job_modify(job_desc, job_rec, part_list, modify_uid)
   return slurm.SUCCESS
end

$gate
return slurm.SUCCESS

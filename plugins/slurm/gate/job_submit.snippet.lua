-- csched: begin. Belongs behind the site's own functions in job_submit.lua, before its last `return`; docs/slurm.md.
do
   -- Account -> the data class of its jobs; classes that run where csched places them; accounts whose plain sbatch csched plans.
   local site = {
      cluster = "$cluster",
      agent_uid = $agent_uid,
      accounts = { $accounts },
      protects = { $protects },
      adopts = { $adopts },
   }
   local own_submit, own_modify = slurm_job_submit, slurm_job_modify
   local loaded, gate = pcall(dofile, "$gate")

   local function protected(account)
      return site.protects[site.accounts[account or ""] or ""]
   end

   local function asked(hook, account, other, ...)
      local ran, code = pcall(function(...)
         return loaded and gate[hook](site, ...) or gate -- else what was wrong with the file
      end, ...)
      if ran and type(code) == "number" then
         return code
      end
      slurm.log_error("csched: the gate failed: %s", tostring(code))
      if not protected(account) and not protected(other) then
         return slurm.SUCCESS
      end
      slurm.log_user("csched: the gate failed, and jobs of protected accounts are not taken without it")
      return slurm.ERROR
   end

   function slurm_job_submit(job_desc, part_list, submit_uid)
      local code = own_submit and own_submit(job_desc, part_list, submit_uid) or slurm.SUCCESS
      if code ~= slurm.SUCCESS then
         return code
      end
      return asked("submit", job_desc.account, job_desc.default_account, job_desc)
   end

   function slurm_job_modify(job_desc, job_rec, part_list, modify_uid)
      local code = own_modify and own_modify(job_desc, job_rec, part_list, modify_uid) or slurm.SUCCESS
      if code ~= slurm.SUCCESS then
         return code
      end
      return asked("modify", job_rec.account, job_desc.account, job_desc, job_rec, part_list, modify_uid)
   end
end
-- csched: end

-- csched's gate for Slurm (JobSubmitPlugins=lua; this file lies beside slurm.conf; Lua 5.1).
--
-- csched marks a job that it dispatches in the job's comment:
--
--    csched:id=<uuid>;<key>=<value>;...        for example  csched:id=0b9f6a1e-1c2d-4e3f-8a9b-0123456789ab;site=essonne
--
-- The gate refuses a job that claims to be csched's with a mark that csched cannot have written: such a job could not
-- be found again after a crash, and its run would be accounted to nobody. Every other job passes untouched.
--
-- It runs inside slurmctld while that holds its locks. So it opens no file, starts no program and asks no server, and a
-- fault in here lets the job pass: a cluster goes on without its gate.

local LONGEST = 1024 -- characters of comment that are read
local UUID = "^" .. ("%x"):rep(8) .. ("%-" .. ("%x"):rep(4)):rep(3) .. "%-" .. ("%x"):rep(12) .. "$"

--- What is wrong with the comment, or nil.
local function fault(comment)
   if type(comment) ~= "string" or comment:sub(1, 7) ~= "csched:" then
      return nil
   end
   if #comment > LONGEST then
      return ("the comment is longer than %d characters"):format(LONGEST)
   end
   local seen = {}
   for pair in (comment:sub(8) .. ";"):gmatch("([^;]*);") do
      local key, value = pair:match("^([%l][%l%d_-]*)=([%w%._:/+-]+)$")
      if key == nil then
         return "the comment is not csched:id=<uuid>;<key>=<value>;..."
      elseif seen[key] then
         return ("the comment has `%s` twice"):format(key)
      end
      seen[key] = value
   end
   if seen.id == nil then
      return "the comment has no id"
   elseif not seen.id:match(UUID) then
      return "the id in the comment is not a uuid"
   end
   return nil
end

function slurm_job_submit(job_desc, part_list, submit_uid)
   local ran, message = pcall(function() return fault(job_desc.comment) end)
   if ran and message then
      slurm.log_user("csched: %s; leave the comment out, or submit with `csched submit`", message)
      return slurm.ERROR
   end
   if not ran then
      slurm.log_error("csched: the gate failed and let the job pass: %s", tostring(message))
   end
   return slurm.SUCCESS
end

--- A changed comment is held to the same rule.
function slurm_job_modify(job_desc, job_rec, part_list, modify_uid)
   return slurm_job_submit(job_desc, part_list, modify_uid)
end

return slurm.SUCCESS

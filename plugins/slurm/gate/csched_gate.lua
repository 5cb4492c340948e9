-- csched's gate for Slurm: what a site's own job_submit.lua asks about each job (Lua 5.1 and newer).
--
-- The site's script calls `submit` and `modify` by the lines of job_submit.snippet.lua, under pcall: whatever goes wrong
-- in here, jobs of protected accounts are refused and all others pass. Slurm runs it inside slurmctld, under its locks.
-- So it opens no file, starts no program, asks no server, and remembers nothing from one call to the next.
--
-- What it knows a job by:
--
--    name csched-<id>, comment csched:id=<id>;job=<n>;cluster=<name>    csched has planned it for that cluster
--    admin comment csched:id=...                                        the same, in a place where no user writes
--    admin comment csched:adopt[;comment=<the user's own>]              handed in by plain sbatch, waits for its plan
--    comment csched:class=<data class>                                  the owner says that it is stricter than its account

local CLASSES = { public = 1, internal = 2, personal = 3, special = 4, health = 5 }
local LONGEST = 1024 -- characters of a comment that are read
local NO_VAL, INFINITE = 4294967294, 4294967295
local ROOT = 0
local ID = "^" .. ("%x"):rep(32) .. "$"
local PLACED, ADOPTED, OURS = "csched:id=", "csched:adopt", "csched:"
local WAITS = "csched: waits for its planned start"

local gate = {}

local function starts(text, with)
   return type(text) == "string" and text:sub(1, #with) == with
end

--- The pairs of `csched:<key>=<value>;...`, or nil and what is wrong with it.
local function pairs_of(comment)
   if #comment > LONGEST then
      return nil, ("the comment is longer than %d characters"):format(LONGEST)
   end
   local found = {}
   for pair in (comment:sub(#OURS + 1) .. ";"):gmatch("([^;]*);") do
      local key, value = pair:match("^([%l][%l%d_-]*)=([%w%._:/+-]+)$")
      if key == nil then
         return nil, "the comment is not csched:<key>=<value>;..."
      elseif found[key] then
         return nil, ("the comment has `%s` twice"):format(key)
      end
      found[key] = value
   end
   return found
end

--- The stricter of two data classes; one that nobody knows is the strictest.
local function stricter(one, other)
   local function rank(class)
      return class == nil and 0 or CLASSES[class] or math.huge
   end
   return rank(one) >= rank(other) and one or other
end

local function refuse(message, ...)
   slurm.log_user("csched: " .. message, ...)
   return slurm.ERROR
end

--- What is wrong with a comment that claims to be csched's, or nil. Only the comment of a placed job may say more than
--- the data class.
local function fault(comment, placed)
   if not starts(comment, OURS) then
      return nil
   end
   local said, wrong = pairs_of(comment)
   if said == nil then
      return wrong
   end
   for key in pairs(said) do
      if not placed and key ~= "class" then
         return ("the comment says `%s`, which csched alone says"):format(key)
      end
   end
   if said.class and not CLASSES[said.class] then
      return ("the comment names no data class, but `%s`"):format(said.class)
   end
   return nil
end

local function class_of(site, account, comment)
   local said = starts(comment, OURS) and pairs_of(comment) or {}
   return stricter(site.accounts[account or ""], said.class)
end

--- Whether the words of a job are those that csched submits with, for this cluster; or false and what differs.
local function placement(site, job_desc)
   local id = (job_desc.name or ""):match("^csched%-(.*)$")
   local said = starts(job_desc.comment, OURS) and pairs_of(job_desc.comment) or {}
   if id == nil or said.id == nil then
      return false, "it was not planned by csched"
   elseif said.id ~= id or not id:match(ID) then
      return false, "its id is not one of csched's"
   elseif said.cluster ~= site.cluster then
      return false, ("it was planned for cluster `%s`, this is `%s`"):format(said.cluster or "?", site.cluster)
   end
   return true
end

--- Whether an adopted job could be held without harm: a batch script, and nothing that others wait for.
local function adoptable(site, job_desc, account)
   return site.adopts[account or ""]
      and type(job_desc.script) == "string"
      and job_desc.priority ~= 0
      and not job_desc.reservation
      and not job_desc.burst_buffer
      and (job_desc.het_job_offset or NO_VAL) == NO_VAL
end

local function adopt(job_desc)
   local own = job_desc.comment
   job_desc.priority = 0
   job_desc.admin_comment = own and (ADOPTED .. ";comment=" .. own:sub(1, LONGEST)) or ADOPTED
   job_desc.comment = WAITS
   slurm.log_user("csched: the job is held until its planned start; `squeue --format='%i %k'` says what it waits for")
   return slurm.SUCCESS
end

function gate.submit(site, job_desc)
   local account = job_desc.account or job_desc.default_account
   local placed, why = placement(site, job_desc)
   local wrong = fault(job_desc.comment, placed)
   if wrong then
      return refuse("%s; leave the comment out, or submit with `csched submit`", wrong)
   end
   if starts(job_desc.admin_comment, OURS) then
      return refuse("an admin comment that begins with `%s` is written here alone", OURS)
   end
   if placed then
      job_desc.priority = 0 -- csched releases it, and for protected accounts nobody else can
      job_desc.requeue = 0
      job_desc.admin_comment = job_desc.comment
      return slurm.SUCCESS
   end
   local class = class_of(site, account, job_desc.comment)
   if class and site.protects[class] then
      return refuse("jobs of account `%s` (%s) run where csched places them, and %s; use `csched submit`",
                    tostring(account), class, why)
   end
   if adoptable(site, job_desc, account) then
      return adopt(job_desc)
   end
   return slurm.SUCCESS
end

local FROZEN = { "partition", "req_nodes", "exc_nodes", "account", "qos", "comment", "requeue", "reservation" }
local function changed(job_desc, field)
   local value = job_desc[field]
   return value ~= nil and value ~= NO_VAL and value ~= 65534
end

--- The owner's change of a job that csched has placed.
local function of_placed(job_desc, job_rec)
   for _, field in ipairs(FROZEN) do
      if changed(job_desc, field) then
         return refuse("`%s` of a job that csched has placed is not changed here; use `csched update`", field)
      end
   end
   local unreleased = starts(job_rec.name, "csched-")
   if unreleased and changed(job_desc, "name") then
      return refuse("the job gets its own name when it is released")
   end
   if unreleased and changed(job_desc, "priority") then
      job_desc.priority = 0
      slurm.log_user("csched: the job stays held until its planned start")
   end
   return slurm.SUCCESS
end

--- The owner's change of a job that was handed in by plain sbatch.
local function of_adopted(job_desc, job_rec)
   local waits = starts(job_rec.comment, OURS)
   if waits and changed(job_desc, "comment") then
      return refuse("the comment says what the job waits for; it gets its own when it is released")
   end
   if waits and changed(job_desc, "priority") then
      job_desc.priority = 0
      slurm.log_user("csched: the job stays held until its planned start")
   end
   return slurm.SUCCESS
end

function gate.modify(site, job_desc, job_rec, _, modify_uid)
   if modify_uid == ROOT or modify_uid == site.agent_uid or modify_uid ~= job_rec.user_id then
      return slurm.SUCCESS -- Slurm lets nobody else near who is no operator
   end
   if starts(job_rec.admin_comment, PLACED) then
      return of_placed(job_desc, job_rec)
   end
   local wrong = fault(job_desc.comment, false)
   if wrong then
      return refuse("%s", wrong)
   end
   local account = job_desc.account or job_rec.account
   local class = class_of(site, account, job_desc.comment)
   if class and site.protects[class] then
      return refuse("jobs of account `%s` (%s) run where csched places them; use `csched submit`", account, class)
   end
   if starts(job_rec.admin_comment, ADOPTED) then
      return of_adopted(job_desc, job_rec)
   end
   return slurm.SUCCESS
end

return gate

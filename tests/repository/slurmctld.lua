-- Runs a job_submit.lua as slurmctld does, for one job: lua5.1 slurmctld.lua GATE FUNCTION [COMMENT]
-- The gate sees the language and `slurm`, but no files, no programs and no modules: what it does not need is not there.
-- Prints what the function returned, then what it said. A job without COMMENT is one whose fields cannot be read.

local path, name, comment = arg[1], arg[2], arg[3]
local said = {}
local world = {
   pcall = pcall, type = type, tostring = tostring, string = string,
   slurm = {
      SUCCESS = 0,
      ERROR = -1,
      log_user = function(...) table.insert(said, "user: " .. string.format(...)) end,
      log_error = function(...) table.insert(said, "error: " .. string.format(...)) end,
   },
}
local gate = setfenv(assert(loadfile(path)), world)
assert(gate() == world.slurm.SUCCESS, "the script must return slurm.SUCCESS when it is loaded")

local job = { comment = comment ~= "nil" and comment or nil }
if comment == nil then
   job = setmetatable({}, { __index = function() error("no such field") end })
end
print(world[name](job, {}, 1000))
print(table.concat(said, "\n"))

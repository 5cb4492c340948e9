"""Readers of public traces whose files are too large to be at hand.

The rows are made by hand in the shape that each publisher documents; the first ones of Helios and Acme are the examples
of their READMEs.
"""

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from csched.errors import InputError
from csched_sim.traces.reading import HowToRead, Trace, open_trace


def told(trace: Trace) -> list[tuple[str, str, str | None, str | None, int, int, int]]:
    return [
        (job.job, f"{job.submit:%Y-%m-%d %H:%M:%S}", job.user, job.tenant, job.gpus, job.time_limit_s, runtime_s)
        for job, runtime_s in trace
    ]


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


NO_LIMIT = "limit assumed: the run time, for want of a time requested"

HELIOS = """\
job_id,user,vc,gpu_num,cpu_num,node_num,state,submit_time,start_time,end_time,duration,queue
1425511,uXBbc,vcJkd,1,1,1,COMPLETED,2020-06-09 18:41:01,2020-06-09 18:41:01,2020-06-10 04:55:09,36848,0
1425512,uVMrF,vchbv,4,16,1,FAILED,2020-06-09 18:41:27,2020-06-09 18:41:27,2020-06-09 18:45:36,249,0
1425514,uVMrF,vchbv,0,16,1,COMPLETED,2020-06-09 18:42:00,2020-06-09 18:42:00,2020-06-09 18:42:09,9,0
1425515,uVMrF,vchbv,8,16,1,CANCELLED,2020-06-09 18:43:00,,,0,0
1425516,uVMrF,vchbv,eight,16,1,COMPLETED,2020-06-09 18:44:00,2020-06-09 18:44:00,2020-06-09 18:44:09,9,0
"""


def test_helios(tmp_path: Path) -> None:
    path = written(tmp_path / "cluster_log.csv", HELIOS)
    trace = open_trace(path, HowToRead(zone=ZoneInfo("Asia/Shanghai")))
    assert trace.notes.format == "helios"
    assert told(trace) == [
        ("1425511", "2020-06-09 10:41:01", "uXBbc", "vcJkd", 1, 36848, 36848),
        ("1425512", "2020-06-09 10:41:27", "uVMrF", "vchbv", 4, 249, 249),
    ]
    assert trace.notes.places == {
        "asks for no GPU": ["cluster_log.csv:4"],
        "never ran": ["cluster_log.csv:5"],
        "malformed: not a time or a number": ["cluster_log.csv:6"],
    }
    assert any("UTC" in assumption for assumption in open_trace(path).notes.assumptions)


SEREN = """\
job_id,user,node_num,gpu_num,cpu_num,type,state,submit_time,start_time,end_time,duration,queue,gpu_time
5778432,u5907,1,8,128,Other,FAILED,2023-03-01 00:18:22+08:00,2023-03-01 00:18:54+08:00,2023-03-01 00:20:51+08:00,\
117,32,936.0
5778469,u5907,1,8,128,Other,COMPLETED,2023-03-01 00:23:58+08:00,2023-03-01 00:24:11+08:00,2023-03-01 01:09:04+08:00,\
2693,13,21544.0
5778470,u1,1,8,128,Pretrain,CANCELLED,2023-03-01 00:23:58+08:00,,2023-03-01 01:09:04+08:00,0,0,0
5778471,u1,1,8,128,Pretrain,RUNNING,2023-03-01 00:23:58+08:00,2023-03-01 01:09:04+08:00,,0,0,0
"""
KALOS = """\
job_id,user,node_num,gpu_num,cpu_num,mem_per_pod_GB,shared_mem_per_pod,type,state,submit_time,start_time,end_time,\
fail_time,stop_time,duration,queue,gpu_time
dlctk696s0jbvitv,uf794,8,64,960,1000,100.0,Other,FAILED,2023-05-17 11:00:58+00:00,2023-05-17 11:01:08+00:00,\
2023-05-17 11:01:16+00:00,2023-05-17 11:01:16+00:00,,18,10.0,1152.0
"""


def test_acme_seren(tmp_path: Path) -> None:
    trace = open_trace(written(tmp_path / "trace_seren.csv", SEREN))
    assert trace.notes.format == "acme"
    assert told(trace) == [
        ("5778432", "2023-02-28 16:18:22", "u5907", None, 8, 117, 117),
        ("5778469", "2023-02-28 16:23:58", "u5907", None, 8, 2693, 2693),
    ]
    assert trace.notes.dropped == {"never ran": 1, "had not ended": 1}
    assert trace.notes.changed == {NO_LIMIT: 2}
    assert trace.notes.assumptions == []


def test_acme_kalos_runs_from_start_to_end_whatever_its_duration_says(tmp_path: Path) -> None:
    trace = open_trace(written(tmp_path / "trace_kalos.csv", KALOS))
    assert told(trace) == [("dlctk696s0jbvitv", "2023-05-17 11:00:58", "uf794", None, 64, 8, 8)]
    assert trace.notes.changed["run time from start to end, where `duration` says something else"] == 1


PAI_JOBS = """\
j-one,i1,ua,Terminated,100.0,2100.0
j-two,i2,ub,Failed,200.0,900.0
j-cpu,i3,ub,Terminated,300.0,400.0
j-open,i4,ub,Running,400.0,
j-lone,i5,ub,Terminated,500.0,600.0
j-bad,i6,ub,Terminated,soon,600.0
"""
PAI_TASKS = """\
j-one,ps,1.0,Terminated,150.0,2000.0,600.0,29.3,0.0,MISC
j-one,worker,2.0,Terminated,160.0,2100.0,400.0,29.3,50.0,T4
j-two,worker,16.0,Failed,250.0,900.0,600.0,29.3,100.0,V100
j-cpu,worker,16.0,Terminated,310.0,400.0,600.0,29.3,,
j-open,worker,1.0,Running,410.0,,600.0,29.3,100.0,V100
j-bad,worker,1.0,Terminated,410.0,600.0,600.0,29.3,100.0,V100
j-bad,worker,many,Terminated,410.0,600.0,600.0,29.3,100.0,V100
"""
PAI_INSTANCES = """\
j-two,worker,n1,w1,i2,Failed,300.0,700.0,m1
j-two,worker,n2,w2,i2,Failed,301.0,800.0,m2
j-unknown,worker,n2,w2,i2,Failed,301.0,800.0,m2
"""
PAI_HEADER = "job_name,inst_id,user,status,start_time,end_time\n"


@pytest.mark.parametrize("header", ["", PAI_HEADER])
def test_pai_adds_up_the_tasks_of_a_job(tmp_path: Path, header: str) -> None:
    written(tmp_path / "pai_task_table.csv", PAI_TASKS)
    trace = open_trace(written(tmp_path / "pai_job_table.csv", header + PAI_JOBS))
    assert trace.notes.format == "pai"
    assert told(trace) == [
        ("j-one", "1970-01-01 00:01:40", "ua", None, 1, 1950, 1950),
        ("j-two", "1970-01-01 00:03:20", "ub", None, 16, 650, 650),
    ]
    assert trace.notes.dropped == {
        "asks for no GPU": 1,
        "never ran, or had not ended": 1,
        "no task of it is known": 1,
        "malformed: not a time": 1,
        "malformed: not a time or a number": 1,
    }
    assert trace.notes.places["malformed: not a time or a number"] == ["pai_task_table.csv:7"]
    assert trace.notes.lines == 6
    assert any("UTC+8" in assumption for assumption in trace.notes.assumptions)


def test_pai_takes_run_times_from_the_instances_where_they_lie_beside(tmp_path: Path) -> None:
    written(tmp_path / "pai_task_table.csv", PAI_TASKS)
    written(tmp_path / "pai_instance_table.csv", PAI_INSTANCES)
    trace = open_trace(written(tmp_path / "pai_job_table.csv", PAI_JOBS))
    assert told(trace) == [("j-two", "1970-01-01 00:03:20", "ub", None, 16, 500, 500)]


def test_half_a_gpu_is_counted_as_one_and_said(tmp_path: Path) -> None:
    written(tmp_path / "pai_task_table.csv", "j-one,worker,1.0,Terminated,160.0,2100.0,400.0,29.3,50.0,T4\n")
    trace = open_trace(written(tmp_path / "pai_job_table.csv", "j-one,i1,ua,Terminated,100.0,2100.0\n"))
    assert [job.gpus for job, _ in trace] == [1]
    assert trace.notes.changed["a part of a GPU counted as a whole one"] == 1


def test_pai_needs_its_job_table_and_the_tasks_beside_it(tmp_path: Path) -> None:
    jobs = written(tmp_path / "pai_job_table.csv", PAI_JOBS)
    with pytest.raises(InputError, match="the task table does not lie beside it"):
        open_trace(jobs)
    tasks = written(tmp_path / "pai_task_table.csv", PAI_TASKS)
    with pytest.raises(InputError, match="6 columns were expected") as refused:
        open_trace(tasks)
    assert refused.value.hint is not None
    assert "pai_job_table.csv" in refused.value.hint


OPENB = """\
name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,deletion_time,scheduled_time
openb-pod-0000,12000,16384,1,1000,,LS,Running,0,12537496,0
openb-pod-0001,6000,12288,1,460,V100M16|V100M32,LS,Running,427061,12902960,427061
openb-pod-0002,6000,12288,8,1000,,LS,Failed,427061,427100,427070
openb-pod-0003,6000,12288,1,1000,,BE,Pending,427061,427100,
openb-pod-0004,6000,12288,0,0,,BE,Running,427061,427100,427070
"""


def test_openb(tmp_path: Path) -> None:
    trace = open_trace(written(tmp_path / "pods.csv", OPENB))
    assert trace.notes.format == "openb"
    assert [(job.job, job.gpus, runtime_s) for job, runtime_s in trace] == [
        ("openb-pod-0000", 1, 12_537_496),
        ("openb-pod-0001", 1, 12_475_899),
        ("openb-pod-0002", 8, 30),
    ]
    assert trace.first_submit == datetime(1970, 1, 1, tzinfo=UTC)
    assert trace.notes.dropped == {"never scheduled (Pending)": 1, "asks for no GPU": 1}
    assert trace.notes.changed == {
        "a part of a GPU counted as a whole one": 1,
        "types of GPU asked for are not in csched's catalogue: left free": 1,
        NO_LIMIT: 3,
    }


SUPERCLOUD = """\
id_job,id_array_job,id_array_task,id_user,kill_requid,nodes_alloc,nodelist,cpus_req,derived_ec,exit_code,gres_used,\
array_max_tasks,array_task_pending,constraints,flags,mem_req,partition,priority,state,timelimit,time_submit,\
time_eligible,time_start,time_end,time_suspended,track_steps,tres_alloc,tres_req,job_type
11,0,4294967294,7001,-1,1,"['r1-n1','r2-n1']",40,0,0,gpu:2,0,0,,0,0,p,1,3,1440,1609459200,1609459200,1609459260,\
1609462860,0,0,"1=40,2=340000,4=1,1002=2","1=40,2=340000,4=1,1002=2",other
12,0,4294967294,7001,-1,1,['r1'],40,0,0,,0,0,,0,0,p,1,5,4294967295,1609459201,1609459201,1609459261.0,1609459361.0,\
0,0,"1=40,1001=1",,other
13,0,4294967294,7001,-1,0,[],40,0,0,,0,0,,0,0,p,1,4,60,1609459202,1609459202,0,1609459300,0,0,,"1=1,1002=1",other
14,0,4294967294,7002,-1,1,['r1'],40,0,0,,0,0,,0,0,p,1,3,60,1609459203,1609459203,1609459204,1609459205,0,0,"1=4",\
"1=4",other
15,0,4294967294,7002,-1,1,['r1'],40,0,0,,0,0,,0,0,p,1,3,60,x,1609459203,1609459204,1609459205,0,0,"1=4","1=4",other
"""


def test_supercloud(tmp_path: Path) -> None:
    trace = open_trace(written(tmp_path / "slurm-log.csv", SUPERCLOUD))
    assert trace.notes.format == "supercloud"
    assert told(trace) == [
        ("11", "2021-01-01 00:00:00", "7001", None, 2, 86_400, 3600),
        ("12", "2021-01-01 00:00:01", "7001", None, 1, 100, 100),
    ]
    assert trace.notes.dropped == {
        "never ran": 1,
        "asks for no GPU": 1,
        "malformed: not a time, a number or a list of resources": 1,
    }
    assert trace.notes.changed == {NO_LIMIT: 1}


def test_surf_is_refused_for_it_has_no_sizes(tmp_path: Path) -> None:
    path = written(tmp_path / "surf.csv", "id,submission_time,duration\n1,1656604920000,1000\n")
    with pytest.raises(InputError, match="does not say how large its jobs are") as refused:
        open_trace(path)
    assert refused.value.hint is not None
    assert "--mapping" in refused.value.hint

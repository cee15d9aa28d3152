"""What a job asks the cluster for: `python trainval.py ... -j slurm -jc NAME` takes one of these, `-j slurm` the first.

The names are submitit's. What is None is left to the cluster. Any other option of sbatch stands in
`slurm_additional_parameters`, as in {"reservation": "course"}; lines for the shell, such as "module load cuda", in
`slurm_setup`. All but timeout_min may be left out.
"""

ONE_GPU = {
    "slurm_partition": None,
    "slurm_account": None,
    "slurm_qos": None,
    # How long one start of a job may take. 2 minutes before that it saves, and is put into the queue again ...
    "timeout_min": 24 * 60,
    "slurm_signal_delay_s": 120,
    # ... at most so often; being preempted does not count.
    "slurm_max_num_timeout": 20,
    "nodes": 1,
    "tasks_per_node": 1,
    "gpus_per_node": 1,
    "cpus_per_task": 4,
    "mem_gb": None,
    "slurm_additional_parameters": {},
}

JOB_CONFIGS = {
    "gpu": ONE_GPU,
    # One process for each of the GPUs of a machine.
    "gpus": {**ONE_GPU, "gpus_per_node": 8, "tasks_per_node": 8},
    # Where there is no GPU, as on the cluster of one machine that scripts/local_slurm.py starts.
    "cpu": {**ONE_GPU, "gpus_per_node": None, "cpus_per_task": 1},
}

"""What a job asks the cluster for: `python trainval.py ... -j slurm -jc NAME` uses one of these, `-j slurm` the first.

The names of the settings are submitit's. A setting that is None is left to the cluster. Any other option of sbatch goes
into `slurm_additional_parameters`, as in {"reservation": "course"}. Lines for the shell, such as "module load cuda", go
into `slurm_setup`. Only timeout_min must be there.
"""

ONE_GPU = {
    "slurm_partition": None,
    "slurm_account": None,
    "slurm_qos": None,
    # How long one start of a job may take. 2 minutes before the end it saves, and goes back into the queue.
    "timeout_min": 24 * 60,
    "slurm_signal_delay_s": 120,
    # How often a job may go back into the queue like this. Preemptions do not count.
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
    # One process for each GPU of a machine with eight.
    "gpus": {**ONE_GPU, "gpus_per_node": 8, "tasks_per_node": 8},
    # For machines without a GPU, such as the cluster that scripts/local_slurm.py starts.
    "cpu": {**ONE_GPU, "gpus_per_node": None, "cpus_per_task": 1},
}

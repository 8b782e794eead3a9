"""What the models of all tasks share: training steps, optimizers, schedules and backbones."""

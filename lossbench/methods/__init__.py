"""What a loss is combined with: weightings, samplers, mixup, what is done to outputs, schedules."""

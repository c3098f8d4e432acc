"""The examination of a loss: a made-up batch, the loss bound to a made-up run, the rules of the contract."""

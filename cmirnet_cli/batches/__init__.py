"""`Sample` to `Batch`: transforms, tokens, collation, a sampler that can resume."""

"""`Referent` to HDF5 to `Sample`: schema, writer, reader."""

"""Bulk prediction: photographs in any storage, taken in chunks that are finished whole or not at all, by one worker or by many.

    chunks(request)  →  Chunk  →  finish_chunk(predictor, chunk, writer, settings)  →  ChunkReport

A chunk is small and can be pickled. A worker reads its photographs, predicts, and hands rows to the writer.
"""

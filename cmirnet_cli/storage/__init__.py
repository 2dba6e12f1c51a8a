"""Files and folders on other machines (buckets, web servers, the Hugging Face hub), by fsspec: what is slow, refuses or breaks off.

Credentials stay with fsspec and its drivers: nothing here takes, keeps or shows any.
"""

"""Nothing for Python code: compiled code takes `hits_to_array` from _hits.pxd."""

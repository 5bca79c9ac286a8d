"""Kinds of job, one file each: its checks, its rounds, and the report that ends it.

Every module of this folder is imported by the registry :data:`s2e.parts.KINDS`.
"""

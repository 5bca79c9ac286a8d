"""Kinds of job, one file each: what a job of the kind is checked for, which rounds it has, which report ends it.

Every module of this folder is imported by the registry :data:`s2e.parts.KINDS`.
"""

"""Finished calculations of other programs as provenance nodes.

AiiDA imports a finished calculation by running a CalcJob with the input `remote_folder`: no job starts, the files are
fetched and parsed. aiida-vasp's and aiida-quantumespresso's own CalcJobs cannot serve here: AiiDA prepares the input
files of an imported job, too, and theirs need POTCARs as nodes (which may not be in the profile, and must not be
published) and pseudopotentials, and their parsers ask for fixed file names and for files of all images. The CalcJobs
here need nothing but the folder.
"""

"""2-D images from folders, NIfTI slices or DICOM."""

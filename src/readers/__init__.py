"""What the readers of annotations and of data sets share: tables, MATLAB files, the layout of our own data set."""

# The sources of doc/.

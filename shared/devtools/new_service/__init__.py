"""`make service NAME=…`: a service that starts, migrates, answers, is measured, deployed and passes all checks."""

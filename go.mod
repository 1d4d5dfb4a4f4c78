module dpolab

go 1.26

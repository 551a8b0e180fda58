module managedvm.dev/lab/vcenter

go 1.26.8

require (
	github.com/google/uuid v1.6.0
	github.com/vmware/govmomi v0.53.0
)

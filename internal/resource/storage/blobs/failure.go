package blobs

import (
	"net/http"

	"github.com/wiemu/wiemu/internal/resource/storage"
	"github.com/wiemu/wiemu/internal/resource/storage/rest"
)

func noContainer() *storage.Error {
	return rest.Fail(http.StatusNotFound, "ContainerNotFound", "The specified container does not exist.")
}

func noBlob() *storage.Error {
	return rest.Fail(http.StatusNotFound, "BlobNotFound", "The specified blob does not exist.")
}

func missingHeader() *storage.Error {
	return rest.Bad("MissingRequiredHeader", "An HTTP header that's mandatory for this request is not specified.")
}

func badRange() *storage.Error {
	return rest.Fail(http.StatusRequestedRangeNotSatisfiable, "InvalidRange", "The range specified is invalid for the current size of the resource.")
}

func wrongKind() *storage.Error {
	return rest.Fail(http.StatusConflict, "InvalidBlobType", "The blob type is invalid for this operation.")
}

func conditionNotMet() *storage.Error {
	return rest.Fail(http.StatusPreconditionFailed, "ConditionNotMet", "The condition specified using HTTP conditional header(s) is not met.")
}

// notModified is answered without a body.
func notModified() *storage.Error {
	return rest.Fail(http.StatusNotModified, "ConditionNotMet", "The condition specified using HTTP conditional header(s) is not met.")
}

// full is ours: an account of Azure has no such limit.
func full() *storage.Error {
	return rest.Fail(http.StatusRequestEntityTooLarge, "RequestBodyTooLarge", "wiemu stores at most 2 GiB of blobs in memory; delete some, or let Azurite store them (storage: {backend: azurite}).")
}

// notStored is ours: Azure knows these operations.
func notStored(what string) *storage.Error {
	return rest.Fail(http.StatusNotImplemented, "NotImplemented", "wiemu's blobs in memory have no "+what+"; Azurite may have them (storage: {backend: azurite}).")
}

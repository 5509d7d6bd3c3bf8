package controlapi

import "net/http"

// BlobPath is where the owner of a storage account puts and reads blobs.
const BlobPath = "/v1/storage/blob"

// BlobRequest names a blob. If Put is nil, the blob is read.
type BlobRequest struct {
	Account   string  `json:"account"`
	Container string  `json:"container"`
	Name      string  `json:"name"`
	Put       *string `json:"put,omitempty"`
}

// Blob is a blob as it is now.
type Blob struct {
	Text string `json:"text"`
}

func (s *Server) blob(_ *http.Request, req BlobRequest) (any, error) {
	accounts := s.lab.Storage()
	if req.Put != nil {
		if err := accounts.PutBlob(req.Account, req.Container, req.Name, *req.Put); err != nil {
			return nil, err
		}
	}
	text, err := accounts.Blob(req.Account, req.Container, req.Name)
	return Blob{string(text)}, err
}

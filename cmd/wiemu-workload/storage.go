package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
)

// storageVersion is that of the REST API of Storage.
const storageVersion = "2021-12-02"

// storageScope is what the SDKs ask a token for, whatever the account.
const storageScope = "https://storage.azure.com/.default"

// storage sends requests to blobs and queues alike through the pipeline of Azure's SDK, with
// its token and its retries.
type storage struct {
	account, service string
	scope            string // if empty, storageScope
}

// ask sends a request and returns the ETag and the body of the answer, if it has one of the
// given statuses.
func (s storage) ask(ctx context.Context, credential azcore.TokenCredential, method, path, body string, header http.Header, statuses ...int) (etag string, content []byte, err error) {
	bearer := runtime.NewBearerTokenPolicy(credential, []string{cmp.Or(s.scope, storageScope)}, nil)
	pipeline := runtime.NewPipeline("wiemu-workload", "v1", runtime.PipelineOptions{PerRetry: []policy.Policy{bearer}}, nil)
	request, err := runtime.NewRequest(ctx, method, "https://"+s.account+"."+s.service+".core.windows.net"+path)
	if err != nil {
		return "", nil, err
	}
	maps.Copy(request.Raw().Header, header)
	request.Raw().Header.Set("x-ms-version", storageVersion)
	if method != http.MethodGet {
		if err := request.SetBody(streaming.NopCloser(strings.NewReader(body)), "application/octet-stream"); err != nil {
			return "", nil, err
		}
	}
	response, err := pipeline.Do(request) //nolint:bodyclose // runtime.Payload and NewResponseError close it
	if err != nil {
		return "", nil, err
	}
	if !runtime.HasStatusCode(response, statuses...) {
		return "", nil, runtime.NewResponseError(response)
	}
	content, err = runtime.Payload(response)
	return response.Header.Get("ETag"), content, err
}

// getBlob reads a blob as text.
func getBlob(s storage, container, name string) action {
	return func(ctx context.Context, credential azcore.TokenCredential) (Answer, error) {
		etag, content, err := s.ask(ctx, credential, http.MethodGet, "/"+container+"/"+url.PathEscape(name), "", nil, http.StatusOK)
		return Answer{Value: string(content), Version: etag}, err
	}
}

// putBlob puts a block blob of text.
func putBlob(s storage, container, name, text string) action {
	return func(ctx context.Context, credential azcore.TokenCredential) (Answer, error) {
		etag, _, err := s.ask(ctx, credential, http.MethodPut, "/"+container+"/"+url.PathEscape(name), text, http.Header{"X-Ms-Blob-Type": {"BlockBlob"}}, http.StatusCreated)
		return Answer{Version: etag}, err
	}
}

// putMessage puts a message into a queue.
func putMessage(s storage, queue, text string) action {
	return func(ctx context.Context, credential azcore.TokenCredential) (Answer, error) {
		var message bytes.Buffer
		message.WriteString("<QueueMessage><MessageText>")
		if err := xml.EscapeText(&message, []byte(text)); err != nil {
			return Answer{}, err
		}
		message.WriteString("</MessageText></QueueMessage>")
		_, _, err := s.ask(ctx, credential, http.MethodPost, "/"+queue+"/messages", message.String(), nil, http.StatusCreated)
		return Answer{}, err
	}
}

// getMessage takes the first message that is visible out of a queue.
func getMessage(s storage, queue string) action {
	return func(ctx context.Context, credential azcore.TokenCredential) (Answer, error) {
		_, content, err := s.ask(ctx, credential, http.MethodGet, "/"+queue+"/messages", "", nil, http.StatusOK)
		if err != nil {
			return Answer{}, err
		}
		var list struct {
			Messages []struct {
				ID      string `xml:"MessageId"`
				Receipt string `xml:"PopReceipt"`
				Text    string `xml:"MessageText"`
			} `xml:"QueueMessage"`
		}
		if err := xml.Unmarshal(bytes.TrimPrefix(content, []byte("\ufeff")), &list); err != nil {
			return Answer{}, fmt.Errorf("read the answer of the queue: %w", err)
		}
		if len(list.Messages) == 0 {
			return Answer{}, nil
		}
		m := list.Messages[0]
		_, _, err = s.ask(ctx, credential, http.MethodDelete, "/"+queue+"/messages/"+m.ID+"?popreceipt="+url.QueryEscape(m.Receipt), "", nil, http.StatusNoContent)
		return Answer{Value: m.Text}, err
	}
}

// storageError reads Storage's error document: what it says, without the id of the request,
// and the code; "" if it is none.
func storageError(body []byte) (text, code string) {
	var said struct {
		XMLName xml.Name `xml:"Error"`
		Code    string   `xml:"Code"`
		Message string   `xml:"Message"`
		Detail  string   `xml:"AuthenticationErrorDetail"`
	}
	if xml.Unmarshal(bytes.TrimPrefix(body, []byte("\ufeff")), &said) != nil {
		return "", ""
	}
	text, _, _ = strings.Cut(said.Message, "\nRequestId:")
	return strings.TrimSpace(text + " " + said.Detail), said.Code
}

// chooseStorage reads the words of blob and queue.
func chooseStorage(words []string, o doing) (action, error) {
	at := func() storage { return storage{account: words[2], service: words[0], scope: o.scope} }
	switch strings.Join(words[:min(2, len(words))], " ") + fmt.Sprint(" ", len(words)) {
	case "blob get 5":
		return getBlob(at(), words[3], words[4]), nil
	case "blob put 6":
		return putBlob(at(), words[3], words[4], words[5]), nil
	case "blob link 5":
		return linked(words[2], words[3], words[4], o.linkLives, cmp.Or(o.keyLives, o.linkLives)), nil
	case "blob lease 6":
		return leased(words[2], words[3], words[4], words[5], o.renew), nil
	case "queue get 4":
		return getMessage(at(), words[3]), nil
	case "queue put 5":
		return putMessage(at(), words[3], words[4]), nil
	}
	if words[0] == "queue" {
		return nil, errors.New("queue: expected get ACCOUNT QUEUE or put ACCOUNT QUEUE TEXT")
	}
	return nil, errors.New("blob: expected get or link ACCOUNT CONTAINER NAME, or put or lease ACCOUNT CONTAINER NAME TEXT")
}

package tools

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
)

// Client talks to the daemon of one guest.
type Client struct{ http *http.Client }

// NewClient returns a client that asks socket for the path of the daemon's socket before each connection, because
// the path changes with each start of the guest. An error of socket is the answer "the daemon does not run".
func NewClient(socket func() (string, error)) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		path, err := socket()
		if err != nil {
			return nil, err
		}
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}
	// No connection is kept: one that outlives the guest would only fail later and less clearly.
	return &Client{http: &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
}

// Do sends a request, with content behind it if content is not nil, and decodes the value of the answer into value
// if that is not nil. The error is a *Fault where the guest itself refused.
func (c *Client) Do(ctx context.Context, request Request, content io.Reader, value any) error {
	rest, err := c.Open(ctx, request, content, value)
	if err != nil {
		return err
	}
	return rest.Close()
}

// Open is Do for an operation whose answer has content: the caller reads it and closes it.
func (c *Client) Open(ctx context.Context, request Request, content io.Reader, value any) (io.ReadCloser, error) {
	var line bytes.Buffer
	if err := WriteLine(&line, request); err != nil {
		return nil, err
	}
	var body io.Reader = &line
	if content != nil {
		body = io.MultiReader(&line, content)
	}
	call, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://guest/", body)
	if err != nil {
		return nil, err
	}
	response, err := c.http.Do(call)
	if err != nil {
		return nil, err
	}
	rest := &remainder{bufio.NewReader(response.Body), response.Body}
	var answer Answer
	if err := ReadLine(rest.Reader, &answer); err != nil {
		return nil, closing(rest, err)
	}
	if answer.Fault != nil {
		return nil, closing(rest, answer.Fault)
	}
	if value != nil {
		if err := json.Unmarshal(answer.Value, value); err != nil {
			return nil, closing(rest, err)
		}
	}
	return rest, nil
}

// remainder is what follows the first line of an answer.
type remainder struct {
	*bufio.Reader
	io.Closer
}

func closing(c io.Closer, err error) error {
	_ = c.Close() // the first error is the one worth telling
	return err
}

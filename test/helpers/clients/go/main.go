// Connects to an MCP server as programs on the Go SDK do, and prints what happened as JSON.
package main

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

type signedIn struct{ token string }

func (s signedIn) RoundTrip(request *http.Request) (*http.Response, error) {
	request.Header.Set("Authorization", "Bearer "+s.token)
	return http.DefaultTransport.RoundTrip(request)
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	client := mcp.NewClient(&mcp.Implementation{Name: "go-client", Version: "1.0.0"}, nil)
	transport := &mcp.StreamableClientTransport{
		Endpoint:   os.Args[1],
		HTTPClient: &http.Client{Transport: signedIn{os.Getenv("TOKEN")}},
	}
	told := map[string]any{}
	session, err := client.Connect(ctx, transport, nil)
	if err != nil {
		told["connect"] = err.Error()
	} else {
		told["version"] = session.InitializeResult().ProtocolVersion
		// in the stateless era neither is left: what counts is that the session goes on
		if err := session.Ping(ctx, nil); err != nil {
			told["ping"] = err.Error()
		}
		_ = session.SetLoggingLevel(ctx, &mcp.SetLoggingLevelParams{Level: "info"})
		for range 2 {
			result, err := session.CallTool(ctx, &mcp.CallToolParams{
				Name: os.Args[2], Arguments: map[string]any{"text": "hi"},
			})
			if err != nil {
				told["call"] = err.Error()
			} else {
				told["content"] = result.Content
			}
		}
		_ = session.Close()
	}
	_ = json.NewEncoder(os.Stdout).Encode(told)
}

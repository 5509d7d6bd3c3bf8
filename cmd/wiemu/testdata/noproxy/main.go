// Command noproxy is a program that heeds no proxy: it gets URLs and prints the status of
// each, or why there is none.
package main

import (
	"fmt"
	"net/http"
	"os"
	"time"
)

func main() {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 30 * time.Second} // wall time: input and output
	code := 0
	for _, url := range os.Args[1:] {
		answer, err := client.Get(url)
		if err != nil {
			fmt.Println(err)
			code = 1
			continue
		}
		_ = answer.Body.Close() // not read
		fmt.Println(answer.Status)
	}
	os.Exit(code)
}

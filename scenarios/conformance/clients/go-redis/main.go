// Command go-redis is a client of the conformance table: what go-redis does with caches, each
// operation once, logged in by a StreamingCredentialsProvider.
package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	orders  = "orders.redis.cache.windows.net:6380"
	managed = "orders.norwayeast.redis.azure.net:10000"
	reports = "reports.redis.cache.windows.net:6380" // to read
)

func main() {
	t, err := newTokens()
	exitOn("credential", err)
	if len(os.Args) > 2 && os.Args[1] == "watch" {
		every, err := time.ParseDuration(os.Args[2] + "s")
		exitOn("watch", err)
		watch(open(orders, t), every)
	}
	client := open(orders, t)
	for _, operation := range []struct {
		name string
		do   func(context.Context, *redis.Client, *tokens) error
	}{
		{"set", set}, {"expire", expire}, {"collections", collections}, {"pipeline", pipeline}, {"transaction", transaction},
		{"script", script}, {"subscribe", subscribe}, {"reauthenticate", reauthenticate}, {"managed", inManaged}, {"denied", denied},
	} {
		exitOn(operation.name, operation.do(context.Background(), client, t))
		fmt.Println(operation.name, "ok")
	}
	fmt.Println("round done")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func exitOn(name string, err error) {
	if err != nil {
		fmt.Println(name, "failed", strings.Join(strings.Fields(err.Error()), " "))
		os.Exit(1)
	}
}

// open returns a client with one connection, besides which there are others while it is
// authenticated again. go-redis does that when the connection is to be used: one that is idle from
// the new token to the end of the old one ends with that.
func open(address string, t *tokens) *redis.Client {
	return redis.NewClient(&redis.Options{
		Addr: address, TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12},
		StreamingCredentialsProvider: t, PoolSize: 1, ConnMaxIdleTime: -1,
	})
}

// want returns an error unless something is as expected.
func want(ok bool, found any, err error) error {
	if err == nil && !ok {
		err = fmt.Errorf("not as expected: %v", found)
	}
	return err
}

func set(ctx context.Context, c *redis.Client, _ *tokens) error {
	if err := c.Set(ctx, "go:text", "two loaves", 0).Err(); err != nil {
		return err
	}
	text, err := c.Get(ctx, "go:text").Result()
	if err := want(text == "two loaves", text, err); err != nil {
		return err
	}
	if err := c.Get(ctx, "go:none").Err(); !errors.Is(err, redis.Nil) {
		return fmt.Errorf("expected redis.Nil, found %w", err)
	}
	return nil
}

func expire(ctx context.Context, c *redis.Client, _ *tokens) error {
	if err := c.Set(ctx, "go:expires", "soon", time.Hour).Err(); err != nil {
		return err
	}
	left, err := c.TTL(ctx, "go:expires").Result()
	return want(left > 50*time.Minute && left <= time.Hour, left, err)
}

func collections(ctx context.Context, c *redis.Client, _ *tokens) error {
	if err := errors.Join(c.HSet(ctx, "go:hash", "a", "1", "b", "2").Err(), c.RPush(ctx, "go:list", "x", "y").Err(), c.ZAdd(ctx, "go:set", redis.Z{Score: 2, Member: "late"}, redis.Z{Score: 1, Member: "early"}).Err()); err != nil {
		return err
	}
	hash, err := c.HGetAll(ctx, "go:hash").Result()
	if err := want(len(hash) == 2 && hash["b"] == "2", hash, err); err != nil {
		return err
	}
	list, err := c.LRange(ctx, "go:list", 0, -1).Result()
	if err := want(strings.Join(list, "") == "xy", list, err); err != nil {
		return err
	}
	members, err := c.ZRange(ctx, "go:set", 0, -1).Result()
	return want(strings.Join(members, " ") == "early late", members, err)
}

func pipeline(ctx context.Context, c *redis.Client, _ *tokens) error {
	var counts []*redis.IntCmd
	_, err := c.Pipelined(ctx, func(p redis.Pipeliner) error {
		for range 100 {
			counts = append(counts, p.Incr(ctx, "go:count"))
		}
		return nil
	})
	return want(counts[99].Val() == 100, counts[99], err)
}

func transaction(ctx context.Context, c *redis.Client, _ *tokens) error {
	return c.Watch(ctx, func(tx *redis.Tx) error {
		done, err := tx.TxPipelined(ctx, func(p redis.Pipeliner) error {
			p.Set(ctx, "go:a", "1", 0)
			p.Incr(ctx, "go:a")
			return nil
		})
		return want(len(done) == 2 && done[1].(*redis.IntCmd).Val() == 2, done, err)
	}, "go:a")
}

func script(ctx context.Context, c *redis.Client, _ *tokens) error {
	found, err := redis.NewScript("return redis.call('GET', KEYS[1]) .. ARGV[1]").Run(ctx, c, []string{"go:text"}, "!").Text()
	return want(found == "two loaves!", found, err)
}

func subscribe(ctx context.Context, c *redis.Client, _ *tokens) error {
	news := c.Subscribe(ctx, "go:news")
	defer func() { _ = news.Close() }()          // there is nothing to lose
	if _, err := news.Receive(ctx); err != nil { // that it is subscribed
		return err
	}
	if err := c.Publish(ctx, "go:news", "hello").Err(); err != nil {
		return err
	}
	message, err := news.ReceiveMessage(ctx)
	if err != nil {
		return err
	}
	return want(message.Payload == "hello", message, nil)
}

// reauthenticate has the client log in again on the connection that it has, with a new token.
func reauthenticate(ctx context.Context, c *redis.Client, t *tokens) error {
	if err := named(ctx, c); err != nil {
		return err
	}
	again, err := t.ask(ctx)
	if err != nil {
		return err
	}
	t.publish(again)
	for range 1000 { // meanwhile others are used
		if name, err := name(ctx, c); name == "first" || err != nil {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
	return errors.New("the connection does not come back")
}

// name returns the name of the connection that is used; "" if it has none.
func name(ctx context.Context, c *redis.Client) (string, error) {
	name, err := c.ClientGetName(ctx).Result()
	if errors.Is(err, redis.Nil) {
		return "", nil
	}
	return name, err
}

// named gives the connection a name, which another one does not have.
func named(ctx context.Context, c *redis.Client) error {
	return c.Do(ctx, "CLIENT", "SETNAME", "first").Err()
}

func inManaged(ctx context.Context, _ *redis.Client, t *tokens) error {
	return set(ctx, open(managed, t), t)
}

func denied(ctx context.Context, _ *redis.Client, t *tokens) error {
	c := open(reports, t)
	if err := c.Get(ctx, "go:text").Err(); !errors.Is(err, redis.Nil) {
		return fmt.Errorf("expected redis.Nil, found %w", err)
	}
	err := c.Set(ctx, "go:text", "x", 0).Err()
	if err == nil || !strings.HasPrefix(err.Error(), "NOPERM") {
		return fmt.Errorf("expected NOPERM, found %w", err)
	}
	return nil
}

// watch uses the cache every so often, on one connection.
func watch(c *redis.Client, every time.Duration) {
	lines := json.NewEncoder(os.Stdout)
	exitOn("watch", named(context.Background(), c))
	for {
		line := map[string]any{"ok": true}
		connection, err := name(context.Background(), c)
		if err == nil {
			line["connection"] = connection
			err = set(context.Background(), c, nil)
		}
		if err != nil {
			line = map[string]any{"ok": false, "error": err.Error()}
		}
		exitOn("watch", lines.Encode(line))
		time.Sleep(every)
	}
}

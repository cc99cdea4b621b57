package api

import (
	"net/url"
	"strconv"
)

const defaultPage = 100 // items of a list that can be long

// Page chooses a page of a long list.
type Page struct {
	After string `query:"after" maxLength:"65535" doc:"Where to go on; next of the page before says it"`
	Limit int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"Items of a page"`
}

// limit is how many items the page may have; huma has checked it.
func (p Page) limit() int {
	if p.Limit <= 0 {
		return defaultPage
	}
	return p.Limit
}

// next makes the path of the page that begins behind after; more are names and values of the query.
func (p Page) next(path, after string, more ...string) *string {
	query := url.Values{"after": {after}, "limit": {strconv.Itoa(p.limit())}}
	for i := 0; i < len(more); i += 2 {
		if more[i+1] != "" {
			query.Set(more[i], more[i+1])
		}
	}
	return new(Prefix + path + "?" + query.Encode())
}

package api

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"fieldgate/internal/fault"
)

const (
	maxRunningJobs = 4
	maxKeptJobs    = 50
	keepJobs       = 15 * time.Minute // after their end
	maxJobResults  = 2000
	firstStep      = time.Second // how long a call waits for the first sign of its job
)

// Job states.
const (
	jobRunning   = "running"
	jobDone      = "done"
	jobFailed    = "failed"
	jobCancelled = "cancelled"
)

// jobView is a job as it is told.
type jobView struct {
	ID          string            `json:"id"`
	Kind        string            `json:"kind" doc:"What it does: scan"`
	Subject     string            `json:"subject" doc:"The part that it is about, bridge/cabinet; empty for a link that is not saved"`
	State       string            `json:"state" enum:"running,done,failed,cancelled"`
	Done        int               `json:"done"`
	Total       int               `json:"total" doc:"It may shrink"`
	Words       string            `json:"words" doc:"What it does now"`
	Error       string            `json:"error" doc:"Why it failed and what to do"`
	Code        fault.Code        `json:"code"`
	Author      string            `json:"author"`
	Started     time.Time         `json:"started"`
	Ended       *time.Time        `json:"ended" doc:"null while it runs"`
	ResultCount int               `json:"result_count"`
	Results     []json.RawMessage `json:"results,omitempty" doc:"Left out in lists"`
}

// job is long work.
type job struct {
	cancel context.CancelFunc
	begun  chan struct{} // closed at the first step
	done   chan struct{} // closed at the end

	mu    sync.Mutex // protects what follows
	view  jobView
	steps int
	err   error
}

// step tells how far the job is; result is nil when there is none.
func (j *job) step(done, total int, words string, result json.RawMessage) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.view.Done, j.view.Total, j.view.Words = done, total, words
	if result != nil && len(j.view.Results) < maxJobResults {
		j.view.Results = append(j.view.Results, result)
	}
	if j.steps++; j.steps == 1 {
		close(j.begun)
	}
}

// end notes how the job ended.
func (j *job) end(ctx context.Context, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	now := time.Now().UTC().Truncate(time.Millisecond)
	j.view.Ended, j.err = &now, err
	switch {
	case ctx.Err() != nil:
		j.view.State = jobCancelled
	case err == nil:
		j.view.State = jobDone
	default:
		p := ProblemOf(err)
		j.view.State, j.view.Error, j.view.Code = jobFailed, p.Detail, p.Code
	}
	close(j.done)
}

// look gives the job with the results from the index on; nil results for an index below 0.
func (j *job) look(after int) jobView {
	j.mu.Lock()
	defer j.mu.Unlock()
	v := j.view
	v.ResultCount = len(j.view.Results)
	v.Results = nil
	if after >= 0 {
		v.Results = append([]json.RawMessage{}, j.view.Results[min(after, v.ResultCount):]...)
	}
	return v
}

// jobs is the work that goes on, and what became of the last. The zero value is ready.
type jobs struct {
	mu      sync.Mutex // protects what follows
	list    []*job     // in the order of their start
	stopped bool
	running sync.WaitGroup
}

// start runs work until it ends, is cancelled or the server stops.
func (js *jobs) start(kind, subject, author string, work func(context.Context, *job) error) (*job, error) {
	ctx, cancel := context.WithCancel(context.Background()) // it outlives the request
	j := &job{cancel: cancel, begun: make(chan struct{}), done: make(chan struct{})}
	j.view = jobView{
		ID: strings.ToLower(rand.Text()[:10]), Kind: kind, Subject: subject, State: jobRunning, Author: author, Started: time.Now().UTC().Truncate(time.Millisecond),
	}
	js.mu.Lock()
	defer js.mu.Unlock()
	js.forget()
	active := 0
	for _, other := range js.list {
		if other.look(-1).Ended == nil {
			active++
		}
	}
	switch {
	case js.stopped:
		cancel()
		return nil, fault.New(fault.Unavailable, "the gateway is stopping")
	case active >= maxRunningJobs:
		cancel()
		return nil, fault.New(fault.TooMany, "%d jobs run already; wait, or cancel one", active)
	}
	js.list = append(js.list, j)
	js.running.Go(func() {
		defer cancel()
		j.end(ctx, work(ctx, j))
	})
	return j, nil
}

// forget drops what ended long ago, or is too much; mu is held.
func (js *jobs) forget() {
	now := time.Now()
	js.list = slices.DeleteFunc(js.list, func(j *job) bool {
		v := j.look(-1)
		return v.Ended != nil && now.Sub(*v.Ended) > keepJobs
	})
	for i := 0; i < len(js.list) && len(js.list) >= maxKeptJobs; {
		if js.list[i].look(-1).Ended == nil {
			i++
			continue
		}
		js.list = slices.Delete(js.list, i, i+1)
	}
}

func (js *jobs) drop(j *job) {
	js.mu.Lock()
	defer js.mu.Unlock()
	js.list = slices.DeleteFunc(js.list, func(x *job) bool { return x == j })
}

// all gives the jobs without results, the newest first.
func (js *jobs) all() []jobView {
	js.mu.Lock()
	defer js.mu.Unlock()
	js.forget()
	views := make([]jobView, 0, len(js.list))
	for _, j := range slices.Backward(js.list) {
		views = append(views, j.look(-1))
	}
	return views
}

func (js *jobs) find(id string) (*job, error) {
	js.mu.Lock()
	defer js.mu.Unlock()
	for _, j := range js.list {
		if j.view.ID == id { // never changes
			return j, nil
		}
	}
	return nil, fault.New(fault.NotFound, "there is no such job; those that ended are kept for %v", keepJobs)
}

// stop cancels all and waits for them.
func (js *jobs) stop() {
	js.mu.Lock()
	js.stopped = true
	for _, j := range js.list {
		j.cancel()
	}
	js.mu.Unlock()
	js.running.Wait()
}

type jobOutput struct{ Body jobView }

type startedOutput struct {
	Location string `header:"Location" doc:"Where the job is"`
	Body     jobView
}

func (a *API) addJobs() {
	const tag, one = "jobs", "/jobs/{id}"
	gone := []int{http.StatusNotFound}
	add(a, operation{method: http.MethodGet, path: "/jobs", id: "list-jobs", summary: "Long work, without its results, the newest first", tag: tag, role: Viewer},
		func(context.Context, *struct{}) (*listOutput[jobView], error) { return listOf(a.jobs.all()), nil })
	add(a, operation{method: http.MethodGet, path: one, id: "get-job", summary: "How far a job is, and what it gave", tag: tag, role: Viewer, errors: gone},
		func(_ context.Context, in *struct {
			ID    string `path:"id"`
			After int    `query:"after" minimum:"0" doc:"How many results the caller has already"`
		}) (*jobOutput, error) {
			j, err := a.jobs.find(in.ID)
			if err != nil {
				return nil, err
			}
			return &jobOutput{Body: j.look(in.After)}, nil
		})
	cancel := func(_ context.Context, in *idInput) (*struct{}, error) {
		j, err := a.jobs.find(in.ID)
		if err == nil {
			j.cancel()
		}
		return nil, err
	}
	add(a, operation{
		method: http.MethodPost, path: one + "/cancel", id: "cancel-job", summary: "End a job early; what it gave stays", tag: tag, role: Operator,
		status: http.StatusNoContent, errors: gone,
	}, cancel)
	add(a, operation{
		method: http.MethodDelete, path: one, id: "delete-job", summary: "The same as cancel", tag: tag, role: Operator, status: http.StatusNoContent, errors: gone,
	}, cancel)
}

// begin starts a job and gives the answer to who asked for it. One that was refused before its first step is an error and no job.
func (a *API) begin(ctx context.Context, kind, subject string, work func(context.Context, *job) error) (*startedOutput, error) {
	j, err := a.jobs.start(kind, subject, requestOf(ctx).caller.name, work)
	if err != nil {
		return nil, err
	}
	patience := time.NewTimer(firstStep)
	defer patience.Stop()
	select {
	case <-j.begun:
	case <-patience.C:
	case <-ctx.Done():
	case <-j.done:
		if j.steps == 0 && refused(j.err) {
			a.jobs.drop(j)
			return nil, j.err
		}
	}
	return &startedOutput{Location: Prefix + "/jobs/" + j.view.ID, Body: j.look(0)}, nil
}

// refused tells whether the caller has to ask for something else; a link that fails is a result.
func refused(err error) bool {
	if f, one := errors.AsType[*fault.Error](err); one && f.Field == "" && f.Code == fault.Unreachable {
		return false
	}
	return err != nil
}

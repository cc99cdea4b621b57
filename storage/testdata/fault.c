// Makes some writes or flushes of files below FAULT_DIR fail: FAULT_COUNT of them after FAULT_AFTER, with
// FAULT_ERRNO. FAULT_OP is write or fsync. A flush that fails takes along what was written since the last one that
// worked, as a kernel may that has marked the pages as clean: what is read afterwards is what was there before. With
// FAULT_LOST it stays readable until the power is cut: that file then lists the pages that the disk never got, each as
// a line with path and offset, and what the disk has instead.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct image {
	struct image *next;
	dev_t dev;
	ino_t ino;
	off_t at, size; // size is that of the file before
	ssize_t len;    // of old
	off_t written;
	char *old;
};

struct lost {
	struct lost *next;
	off_t at;
	char path[4096], old[4096];
};

static struct lost *losses;
static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;
static struct image *images; // newest first
static long seen;

static int name_of(int fd, char path[4096])
{
	char link[64];
	ssize_t n;

	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	n = readlink(link, path, 4095);
	path[n < 0 ? 0 : n] = 0;
	return n >= 0;
}

static int ours(int fd)
{
	char path[4096];
	const char *dir = getenv("FAULT_DIR");

	if (!dir || !name_of(fd, path))
		return 0;
	return !strncmp(path, dir, strlen(dir)) && !strstr(path, "-shm");
}

static int fails(const char *op)
{
	long after = atol(getenv("FAULT_AFTER")), count = atol(getenv("FAULT_COUNT"));

	if (strcmp(op, getenv("FAULT_OP")))
		return 0;
	seen++;
	dprintf(2, "SEEN %ld\n", seen);
	if (seen <= after || seen > after + count)
		return 0;
	dprintf(2, "FAULT %ld\n", seen);
	errno = atoi(getenv("FAULT_ERRNO"));
	return 1;
}

static void *real(const char *name) { return dlsym(RTLD_NEXT, name); }

static void keep(int fd, size_t len, off_t at)
{
	struct image *i = calloc(1, sizeof *i);
	struct stat st;

	fstat(fd, &st);
	i->dev = st.st_dev, i->ino = st.st_ino, i->at = at, i->size = st.st_size, i->written = len;
	i->old = malloc(len + 1);
	i->len = pread(fd, i->old, len, at);
	i->next = images;
	images = i;
}

static struct lost **find_lost(const char *path, off_t at)
{
	struct lost **p = &losses;

	while (*p && ((*p)->at != at || strcmp((*p)->path, path)))
		p = &(*p)->next;
	return p;
}

// miss notes a page as it was before the images, oldest last, unless that is known already.
static void miss(int fd, const char *path, struct stat *st, off_t page)
{
	struct lost **p = find_lost(path, page);
	struct image *i;

	if (*p)
		return;
	*p = calloc(1, sizeof **p);
	(*p)->at = page;
	strcpy((*p)->path, path);
	pread(fd, (*p)->old, 4096, page);
	for (i = images; i; i = i->next) {
		off_t from = i->at > page ? i->at : page, end = i->at + i->len < page + 4096 ? i->at + i->len : page + 4096;
		if (i->dev == st->st_dev && i->ino == st->st_ino && from < end)
			memcpy((*p)->old + (from - page), i->old + (from - i->at), end - from);
	}
}

// account notes which pages of the file the disk has not got, or has now.
static void account(int fd, int failed)
{
	char path[4096];
	struct stat st;
	struct image *i;
	struct lost **p, *l;
	off_t page;
	FILE *list;

	fstat(fd, &st);
	name_of(fd, path);
	for (i = images; i; i = i->next) {
		if (i->dev != st.st_dev || i->ino != st.st_ino)
			continue;
		for (page = i->at & ~4095L; page < i->at + i->written; page += 4096) {
			if (failed) {
				miss(fd, path, &st, page);
			} else if (*(p = find_lost(path, page))) {
				l = *p;
				*p = l->next;
				free(l);
			}
		}
	}
	list = fopen(getenv("FAULT_LOST"), "w");
	for (l = losses; l; l = l->next) {
		fprintf(list, "%s %ld\n", l->path, (long)l->at);
		fwrite(l->old, 4096, 1, list);
	}
	fclose(list);
}

// settle forgets what was kept of the file, or puts it back.
static void settle(int fd, int back)
{
	ssize_t (*put)(int, const void *, size_t, off_t) = real("pwrite64");
	int (*cut)(int, off_t) = real("ftruncate64");
	struct image **p = &images;
	struct stat st;

	fstat(fd, &st);
	while (*p) {
		struct image *i = *p;
		if (i->dev != st.st_dev || i->ino != st.st_ino) {
			p = &i->next;
			continue;
		}
		if (back) {
			if (i->len > 0)
				put(fd, i->old, i->len, i->at);
			cut(fd, i->size);
		}
		*p = i->next;
		free(i->old);
		free(i);
	}
}

static ssize_t write_at(int fd, const void *buf, size_t len, off_t at)
{
	ssize_t (*put)(int, const void *, size_t, off_t) = real("pwrite64");
	ssize_t n = -1;

	if (!ours(fd))
		return put(fd, buf, len, at);
	pthread_mutex_lock(&mu);
	if (!fails("write")) {
		keep(fd, len, at);
		n = put(fd, buf, len, at);
	}
	pthread_mutex_unlock(&mu);
	return n;
}

ssize_t pwrite(int fd, const void *buf, size_t len, off_t at) { return write_at(fd, buf, len, at); }
ssize_t pwrite64(int fd, const void *buf, size_t len, off_t at) { return write_at(fd, buf, len, at); }

ssize_t write(int fd, const void *buf, size_t len)
{
	ssize_t (*put)(int, const void *, size_t) = real("write");
	off_t at;
	ssize_t n;

	if (!ours(fd) || (at = lseek(fd, 0, SEEK_CUR)) < 0)
		return put(fd, buf, len);
	n = write_at(fd, buf, len, at);
	if (n > 0)
		lseek(fd, at + n, SEEK_SET);
	return n;
}

static int flush(int fd, const char *name)
{
	int (*sync)(int) = real(name);
	int rc = -1, failed = 0;

	if (!ours(fd))
		return sync(fd);
	pthread_mutex_lock(&mu);
	if (!fails("fsync"))
		rc = sync(fd);
	else
		failed = errno;
	if (getenv("FAULT_LOST"))
		account(fd, failed);
	settle(fd, failed && !getenv("FAULT_LOST"));
	pthread_mutex_unlock(&mu);
	if (failed)
		errno = failed;
	return rc;
}

int fsync(int fd) { return flush(fd, "fsync"); }
int fdatasync(int fd) { return flush(fd, "fdatasync"); }

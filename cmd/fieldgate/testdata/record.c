// Records what a process writes to and flushes of the files below RECORD_DIR, into RECORD_LOG: see readLog. Each
// record is one write to a file that is only appended to, so the order of the records is that of the events: a write
// stands there before it is made, a flush before it begins and once it has worked.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int out = -1;
static const char *dir;

static void begin(void)
{
	const char *name = getenv("RECORD_LOG");

	dir = getenv("RECORD_DIR");
	if (dir && name)
		out = open(name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
}

// below gives the name of a file below RECORD_DIR, 0 for any other.
static const char *below(const char *path)
{
	size_t n = strlen(dir);

	return strncmp(path, dir, n) || path[n] != '/' || strstr(path, "-shm") ? 0 : path + n + 1;
}

// named gives the name of an open file.
static const char *named(int fd, char *path, size_t size)
{
	char link[64];
	ssize_t n;

	pthread_once(&once, begin);
	if (out < 0)
		return 0;
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	n = readlink(link, path, size - 1);
	if (n < 0)
		return 0;
	path[n] = 0;
	return below(path);
}

static void *real(const char *name) { return dlsym(RTLD_NEXT, name); }

struct head {
	uint8_t kind, namelen;
	uint16_t none;
	uint32_t tid, len, none2;
	uint64_t at;
};

static void note(char kind, const char *name, const void *data, size_t len, uint64_t at)
{
	int failed = errno;
	struct head h = { kind, strlen(name), 0, syscall(SYS_gettid), len, 0, at };
	ssize_t (*put)(int, const void *, size_t) = real("write");
	char *b = malloc(sizeof h + h.namelen + len), *p = b;

	p = mempcpy(p, &h, sizeof h);
	p = mempcpy(p, name, h.namelen);
	p = mempcpy(p, data, len);
	if (!b || put(out, b, p - b) != p - b)
		abort(); // a record with a hole proves nothing
	free(b);
	errno = failed;
}

static ssize_t write_at(const char *call, int fd, const void *buf, size_t len, off_t at)
{
	ssize_t (*put)(int, const void *, size_t, off_t) = real(call);
	char path[4096];
	const char *name = named(fd, path, sizeof path);

	if (name)
		note('w', name, buf, len, at);
	return put(fd, buf, len, at);
}

ssize_t pwrite(int fd, const void *buf, size_t len, off_t at) { return write_at("pwrite", fd, buf, len, at); }
ssize_t pwrite64(int fd, const void *buf, size_t len, off_t at) { return write_at("pwrite64", fd, buf, len, at); }

ssize_t write(int fd, const void *buf, size_t len)
{
	ssize_t (*put)(int, const void *, size_t) = real("write");
	char path[4096];
	const char *name = named(fd, path, sizeof path);

	if (name)
		note('w', name, buf, len, lseek(fd, 0, SEEK_CUR));
	return put(fd, buf, len);
}

static int cut(const char *call, int fd, off_t size)
{
	int (*to)(int, off_t) = real(call);
	char path[4096];
	const char *name = named(fd, path, sizeof path);

	if (name)
		note('t', name, "", 0, size);
	return to(fd, size);
}

int ftruncate(int fd, off_t size) { return cut("ftruncate", fd, size); }
int ftruncate64(int fd, off_t size) { return cut("ftruncate64", fd, size); }

static int flush(const char *call, int fd)
{
	int (*sync)(int) = real(call);
	char path[4096];
	const char *name = named(fd, path, sizeof path);
	int rc;

	if (name)
		note('b', name, "", 0, 0);
	rc = sync(fd);
	if (name && rc == 0)
		note('e', name, "", 0, 0);
	return rc;
}

int fsync(int fd) { return flush("fsync", fd); }
int fdatasync(int fd) { return flush("fdatasync", fd); }

// SQLite flushes the directory after it: nothing of what follows relies on the file.
int unlink(const char *path)
{
	int (*gone)(const char *) = real("unlink");
	int rc = gone(path);

	pthread_once(&once, begin);
	if (rc == 0 && out >= 0 && below(path))
		note('u', below(path), "", 0, 0);
	return rc;
}

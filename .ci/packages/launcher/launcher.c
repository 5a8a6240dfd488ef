/* The executable: CPython, isolated from the machine's own, whose modules are the zip archive at this file's end.
 *
 * Nothing is unpacked and no second process is started: a signal reaches Python itself, a fork is a fork, and the place may
 * be read-only. Environment variables of Python's are not read.
 */
#include <Python.h>
#include <limits.h>
#include <sys/auxv.h>
#include <unistd.h>

static void check(PyStatus status)
{
    if (PyStatus_Exception(status))
        Py_ExitStatusException(status);
}

int main(int argc, char **argv)
{
    char self[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    if (length < 0) { /* no /proc, as in a bare chroot */
        if (realpath((const char *)getauxval(AT_EXECFN), self) == NULL) {
            fprintf(stderr, "auditctl: /proc is not mounted, so this program cannot find its own file; call it by its path\n");
            return 3;
        }
    } else {
        self[length] = '\0';
    }

    PyPreConfig before;
    PyPreConfig_InitIsolatedConfig(&before);
    before.utf8_mode = 1; /* whatever the locale: paths and logs are bytes that are mostly UTF-8 */
    check(Py_PreInitialize(&before));

    PyConfig config;
    PyConfig_InitIsolatedConfig(&config);
    config.parse_argv = 0;
    config.write_bytecode = 0;
    config.site_import = 0;
    config.install_signal_handlers = 1; /* Ctrl-C is KeyboardInterrupt, as for `python` */
    config.module_search_paths_set = 1;
    wchar_t *place = Py_DecodeLocale(self, NULL);
    if (place == NULL)
        return 3;
    check(PyWideStringList_Append(&config.module_search_paths, place));
    check(PyConfig_SetString(&config, &config.executable, place));
    check(PyConfig_SetString(&config, &config.prefix, L"/"));
    check(PyConfig_SetString(&config, &config.exec_prefix, L"/"));
    check(PyConfig_SetString(&config, &config.base_prefix, L"/"));
    check(PyConfig_SetString(&config, &config.base_exec_prefix, L"/"));
    check(PyConfig_SetString(&config, &config.base_executable, place));
    check(PyConfig_SetString(&config, &config.stdlib_dir, place));
    check(PyConfig_SetString(&config, &config.run_command, L"import _auditctl_front"));
    check(PyConfig_SetBytesArgv(&config, argc, argv));
    check(Py_InitializeFromConfig(&config));
    PyConfig_Clear(&config);
    return Py_RunMain();
}

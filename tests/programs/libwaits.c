// A library whose constructor and destructor wait, with the loader's lock held, until another thread has
// allocated.
void wait_for_allocations(void);

__attribute__((constructor)) static void load(void)
{
    wait_for_allocations();
}

__attribute__((destructor)) static void unload(void)
{
    wait_for_allocations();
}

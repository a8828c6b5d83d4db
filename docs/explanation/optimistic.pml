/* The optimistic protocol, for Spin: https://spinroot.com
 *
 *     python benchmarks/torture_model.py
 *
 * Two writers insert a child under one key, a deleter deletes the parent, twice if it is there again; somebody creates
 * it again, somebody replaces it and thereby wipes the flag. Writers and deleter may die at every step. What a deleter
 * left is taken over when it is dead (the lease), and what was deleted is swept when no insert is under way that began
 * before (the grace). There are no transactions: this is the standalone server, where every step is alone.
 *
 * A look while the insert waits for its majority is the same look: it counts only where it has found the child.
 *
 * One arrow of the text is one step here: what is atomic is one command on one document. Each of the macros in capitals
 * breaks one ordering of references.md, and Spin then finds how an orphan comes to be.
 */

#define WRITERS 2
#define ROUNDS 2

mtype = { none, condemned, acting, gone }

bool parent;                    /* the document that is referred to */
bool flag;                      /* stands on it while a delete is under way */
bool child[WRITERS];
bool acknowledged[WRITERS];
bool inserting[WRITERS];        /* alive, and between its first step and its last */
mtype record[ROUNDS] = none;
bool deleter_dead;
byte ended;                     /* of writers, deleter, creator and replacer */

#define MAY_DIE if :: skip :: goto dead fi

proctype Writer(byte me) {
    bool exists, doomed;
again:
    inserting[me] = true;
#ifndef BLIND_INSERT            /* (10) */
    atomic { exists = parent; doomed = flag && parent }
    if
    :: !exists -> goto over
    :: exists && doomed -> inserting[me] = false; (!flag || !parent); goto again
    :: else
    fi;
#endif
    MAY_DIE;
    child[me] = true;
    MAY_DIE;
#ifndef NO_LOOK                 /* (4) */
    atomic { exists = parent; doomed = flag && parent }
    if
    :: exists && !doomed
    :: else ->
        MAY_DIE;
        child[me] = false;
        if
        :: exists -> inserting[me] = false; (!flag || !parent); goto again
        :: else -> goto over
        fi
    fi;
#endif
    acknowledged[me] = true;
over:
dead:
    atomic { inserting[me] = false; ended++ }
}

inline delete_flagged() {
#ifdef DELETE_WITHOUT_FLAG      /* (7) */
    atomic { parent = false; flag = false }
#else
    atomic { if :: parent && flag -> parent = false; flag = false :: else fi }
#endif
}

proctype Deleter() {
    byte round;
    bool found;
    do
    :: round == ROUNDS -> break
    :: else ->
        if :: !parent -> break :: else fi;
#ifdef LOOK_BEFORE_CONDEMNING   /* (5) */
        found = child[0]; if :: !found -> found = child[1] :: else fi;
        record[round] = condemned;
        MAY_DIE;
        atomic { if :: parent -> flag = true :: else fi }
#else
        record[round] = condemned;
        MAY_DIE;
        atomic { if :: parent -> flag = true :: else fi }
        MAY_DIE;
        found = child[0]; if :: !found -> found = child[1] :: else fi;
#endif
        MAY_DIE;
        if
        :: found ->
#ifdef RECORD_FIRST             /* (8) */
            record[round] = none; MAY_DIE; flag = false
#else
            flag = false; MAY_DIE; record[round] = none
#endif
        :: else ->
            record[round] = acting;
            MAY_DIE;
            delete_flagged();
            MAY_DIE;
            record[round] = gone;
            MAY_DIE;
            flag = false
        fi;
        round++
    od;
    goto over;
dead:
    deleter_dead = true;
over:
    ended++
}

/* (7): a replacement of the parent wipes the flag. */
proctype Replacer() {
    if :: atomic { parent -> flag = false } :: skip fi;
    ended++
}

proctype Creator() {
    if :: atomic { !parent -> parent = true; flag = false } :: skip fi;
    ended++
}

#define QUIET (!inserting[0] && !inserting[1])
#define ALL_ENDED (ended == WRITERS + 3)

proctype Recovery() {
    bool exists, covered, seen[WRITERS];
    byte i;
    do
    :: deleter_dead && record[0] == condemned -> flag = false; record[0] = none
    :: deleter_dead && record[1] == condemned -> flag = false; record[1] = none
    :: deleter_dead && record[0] == acting -> delete_flagged(); record[0] = gone; flag = false
    :: deleter_dead && record[1] == acting -> delete_flagged(); record[1] = gone; flag = false
    :: (record[0] == gone || record[1] == gone) && QUIET ->
        if :: record[0] == gone -> i = 0 :: else -> i = 1 fi;
#ifndef NO_SWEEP                /* (9) */
#ifdef EXISTENCE_FIRST
        exists = parent;
        seen[0] = child[0]; seen[1] = child[1];
#else
        seen[0] = child[0]; seen[1] = child[1];
        exists = parent;
#endif
#ifdef YOUNGER_IGNORED
        covered = false;
#else
        covered = (i == 0 && record[1] != none);
#endif
        if
        :: !exists && !covered ->
            if :: seen[0] -> child[0] = false :: else fi;
            if :: seen[1] -> child[1] = false :: else fi
        :: else
        fi;
#endif
        record[i] = none
    :: ALL_ENDED && record[0] == none && record[1] == none -> break
    od;
    /* The end: everybody is gone, and everything is recovered. */
    assert(parent || (!child[0] && !child[1]));
    assert(!(parent && flag))
}

init {
    atomic {
        if :: parent = true :: parent = false fi;
        run Writer(0); run Writer(1); run Deleter(); run Replacer(); run Creator(); run Recovery()
    }
}

/* At no time: an acknowledged child that is not there, or whose parent is not. */
#define KEPT(i) (!acknowledged[i] || (child[i] && parent))
ltl kept { [] (KEPT(0) && KEPT(1)) }

/*
 * The protocol of the association table, for spin to walk through all its interleavings: packets
 * on several CPUs at once, and beside them the daemon, which writes the same table and is never
 * waited for. ProtocolTests.swift runs it in several settings. By hand, in an empty folder:
 *
 *	spin -a -DINSERT=1 …/associations.pml
 *	cc -O2 -DSAFETY -DNOCLAIM -DVECTORSZ=128 -o pan pan.c && ./pan -m1000000
 *
 * and where that tells of an error, with -DBFS for cc as well, which finds the shortest way there:
 *
 *	spin -p -g -l -k associations.pml.trail -DINSERT=1 …/associations.pml
 *
 * WHAT HOLDS, in every state. What does not, pan reports by these names.
 *
 *	client_stands_once   A client has one word in the table at most, but for a pending one.
 *	association_is_kept  A packet gives a client another server only where its own has left.
 *	one_server           As long as a word stands, its client's packets go to one server.
 *	address_is_its_own   A word leads to the address that it was made for, never to one that
 *			     was given its slot later.
 *	nothing_is_lost      Who changes a word changes the one that it has seen.
 *	invalid end state    No packet waits for the daemon, which may have died at any step (see
 *			     ENDS). Nor does one go on for ever: each of its loops is counted.
 *
 * WHAT A STEP IS. To read a word, to look a real server up, to read which bank is in force and to
 * swap a word are a step each, and between two steps everybody else may do anything. What stands
 * in `atomic { }` is one step: one access to what others write, and what follows from it. A jump
 * to the beginning of another ends it. All see the steps in one order. So it is with the C: what
 * the protocol relies on are swaps, and those are full barriers.
 *
 *	here           in bpf-templates/
 *	find_word      find_word, find_association (association.h)
 *	choose_server  the turn in the round (ingress.h), the sender's slot (egress.h)
 *	lock           lock (association.h)
 *	choose_place   choose_place (places.h)
 *	place_client   place_client, from where it reads the word of the chosen place. Of another's
 *		       place the C sees besides whether it is that still, and was not used since:
 *		       fewer are pushed out
 *	lost           the loop of settle_association
 *	unlock, send   the rest of it; nat.h
 *
 *	here           in Sources/DataPlane/
 *	insert         putting an association into a table in service, to restore or copy it
 *	forget         forgetting an association
 *	change         a change of the list of servers, and the sweep before a slot is given away
 *
 * WHAT IS SIMPLER HERE, and why that hides nothing
 *
 *	- A bucket has one or two places, not seven, and an insertion two attempts, not four. Of
 *	  clients there are 1 and 2, each one's first bucket the other's second, so that they hold
 *	  different locks, and strangers, who are any others and hold none.
 *	- There are no stamps. Anyone may be pushed out, and any free place be taken: whatever the
 *	  stamps say is among what is tried. That who goes was used least recently is for other
 *	  tests to show.
 *	- The lock is asked for once, and who does not get it drops its packet. To ask again is to
 *	  come later, which is tried too.
 *	- Each CPU gives a server of its own, so that every disagreement shows. A server that
 *	  writes first, to a client without one (egress), is such a CPU.
 *	- The daemon is one thread. Its tasks take turns, but only where one of them waits.
 *
 * WHAT IS NOT HERE: round robin, counters and events, and the names of IPv6's clients. These are
 * written after the word, so that one that is pushed out at once may leave its name to the next.
 * No packet reads them, and the daemon can tell by the tag, which is the name's hash.
 */

/* ---- The setting ---- */

#ifndef CPUS
#define CPUS 2
#endif
/* 1: all packets are client 1's. 2: those of the last CPU may be client 2's too. */
#ifndef CLIENTS
#define CLIENTS 1
#endif
/* Two buckets, or a single one, which is everybody's first. Of one place or of two. */
#ifndef BUCKETS
#define BUCKETS 2
#endif
#ifndef BUCKET_PLACES
#define BUCKET_PLACES 2
#endif
/* The table is full of strangers, and more come at any time. */
#ifndef STRANGERS
#define STRANGERS 0
#endif
/* What the daemon does, again and again: inserts client 1, forgets clients, changes the list. */
#ifndef INSERT
#define INSERT 0
#endif
#ifndef FORGET
#define FORGET 0
#endif
#ifndef CHANGE
#define CHANGE 0
#endif
/* The slot that the daemon inserts client 1 with. 1 is that which the list gains and loses. */
#ifndef INSERTED_SLOT
#define INSERTED_SLOT 3
#endif
/* Each CPU handles one packet only, and the daemon dies at some time. */
#ifndef ENDS
#define ENDS 0
#endif
#define PLACE_ATTEMPTS 2

/*
 * What is done wrong. Each fault must be found: a model in which one is not would not show that it
 * is not in the protocol.
 */
#ifndef FAULT
#define FAULT NONE
#endif
#define NONE		      0
/* Packets */
#define NO_LOCK		      1 /* looks again, and swaps */
#define SENDS_UNPLACED	      2 /* sends where another holds the lock */
#define WORDS_ALIKE	      3 /* takes a pending word though the client has a real one */
#define SWAPPED_UNSEEN	      4 /* does not ask for the server of what it swaps out */
#define LIST_ASKED_ONCE	      5 /* believes the list of its begin that a server has left */
#define WORD_READ_ONCE	      6 /* asks a newer list about a word that it has read before */
#define WAITS_FOR_DAEMON      7 /* waits until its client is pending no more */
/* The daemon */
#define ONE_PHASE	      8 /* looks, and swaps the word in */
#define NO_GRACE_PERIOD	      9 /* does not wait between pending and real */
#define NO_SECOND_LOOK	     10 /* does not look again before it makes a pending word real */
#define SLOT_CHOSEN_BEFORE   11 /* does not ask again whether the server is still listed */
#define REUSED_WITHOUT_GRACE 12 /* sweeps while packets are under way that know the old list */
#define REUSED_WITHOUT_SWEEP 13 /* gives a slot away that words lead to */
#define BANK_WRITTEN_AT_ONCE 14 /* does not wait after a switch before it writes the other bank */
#define FORGOTTEN_BY_STORE   15 /* writes a 0 where it has seen the word, without a swap */

/* ---- The table ---- */

/*
 * A word is a client above a slot. Two more bits are there for the properties alone, and no swap
 * compares them: which of its slot's addresses the word was made for, and VOID, whether its server
 * has not been listed at some time since, so that whoever noticed may give the client another.
 */
#define FREE		      0
#define word_of(client, slot) ((client) << 4 | (slot) << 2)
#define client_of(w)	      ((w) >> 4)
#define slot_of(w)	      ((w) >> 2 & 3)
#define VOID		      2
#define address_of(w)	      ((w) & 1)
#define as_read(w)	      ((w) & 252)
#define server_of(w)	      ((w) & 13) /* slot and address */

#define SLOT_PENDING	      0
#define pending_of(client)    word_of(client, SLOT_PENDING)
#define is_real(w)	      (slot_of(w) != SLOT_PENDING)

#define STRANGER	      3
#define a_stranger	      word_of(STRANGER, 2)

#define PLACES		      (BUCKETS * BUCKET_PLACES) /* 2 to 4 */

#if STRANGERS
byte word[PLACES] = a_stranger;
#else
byte word[PLACES] = FREE;
#endif
bool locked[BUCKETS];

/* A client's places in its order: those of its first bucket, whose lock is its own, come first. */
#define place(nth)	      (((nth) + BUCKET_PLACES * (client - 1)) % PLACES)
#define lock_of(client)	      locked[((client) - 1) % BUCKETS]

/*
 * The real servers of both banks: 0 where a slot is not listed, else 1 or 2, for one address or
 * another. Slots 2 and 3 keep theirs, slot 1 does not (see change).
 */
bit bank;
byte real_server[8] = 1;
#define entry(slot, list)     real_server[2 * (slot) + (list)]
#define leads_home(w, list)   (entry(slot_of(w), list) == 1 + address_of(w))
#define listed(client, slot, list)                                                       \
	(word_of(client, slot) | (entry(slot, list) - 1))

/* ---- The properties ---- */

#define this_cpu	      (1 << _pid) /* the first processes are the CPUs */

/*
 * By client: the CPUs that will send by the association that it has now, as it was not taken away
 * since they read it; and the server that packets were sent to by it.
 */
byte follows[STRANGER];
byte sent_to[STRANGER];

bool client_stands_once = true, association_is_kept = true, one_server = true;
bool address_is_its_own = true, nothing_is_lost = true;

inline must(property, holds)
{
	property = holds;
	assert(property)
}

#define stands(where, client) (is_real(word[where]) && client_of(word[where]) == client)

/* Writes a word where another was seen: part of a step. */
inline write(where, seen, new)
{
	must(nothing_is_lost, as_read(word[where]) == as_read(seen));
	if
	:: is_real(word[where]) && client_of(word[where]) != STRANGER &&
	   as_read(word[where]) != as_read(new) ->
		must(association_is_kept,
		     client_of(word[where]) != client_of(new) || word[where] & VOID);
		follows[client_of(word[where])] = 0;
		sent_to[client_of(word[where])] = 0
	:: else
	fi;
	word[where] = FREE;
	if
	:: is_real(new) && client_of(new) != STRANGER ->
		must(client_stands_once,
		     !stands(0, client_of(new)) && !stands(1, client_of(new)) &&
		     !stands(PLACES - 2, client_of(new)) && !stands(PLACES - 1, client_of(new)));
		word[where] = (leads_home(new, bank) -> new : new | VOID)
	:: else ->
		word[where] = new
	fi
}

inline compare_and_swap(where, seen, new)
{
	swapped = (as_read(word[where]) == as_read(seen));
	if
	:: swapped -> write(where, seen, new)
	:: else
	fi
}

/* ---- What packets and the daemon share ---- */

/* CPUs with a packet; and those that a grace period waits for, for insertions and for the list. */
byte under_way, awaited[2];

inline any_place(where)
{
	if
	:: where = 0
	:: where = 1
	:: where = PLACES - 2
	:: where = PLACES - 1
	fi
}

/* What a place is to a client, the best last. */
#define ANOTHERS	      1
#define EMPTY		      2
#define OWN_PENDING	      3
#define OWN_REAL	      (OWN_PENDING + (FAULT != WORDS_ALIKE))
#define kind_of(w)                                                                       \
	(client_of(w) == client -> (is_real(w) -> OWN_REAL : OWN_PENDING) :              \
				   (w == FREE -> EMPTY : ANOTHERS))

/* Of all places seen the best is kept; of several as good ones any. */
inline weigh(w, where)
{
	if
	:: kind_of(w) > kind -> kind = kind_of(w); at = where
	:: kind_of(w) == kind -> at = where
	:: kind_of(w) <= kind
	fi
}

/* ---- Packets ---- */

active [CPUS] proctype packets()
{
	byte client, i, w;
	byte given;	/* the word that the client gets if it has none */
	byte at, kind;	/* the place chosen, and what it was when it was chosen */
	byte attempts;
	bit list;	/* the bank in which the server was looked up that the packet goes to */
	bit asked;	/* the bank that says whether a word's server is listed */
	bit swapped;

next_packet:
	atomic {
		if
		:: client = 1
		:: CLIENTS == 2 && _pid == CPUS - 1 -> client = 2
		fi;
		under_way = under_way | this_cpu;
		list = bank
	};

find_word:
	atomic {
		FAULT != WAITS_FOR_DAEMON || word[place(i)] != pending_of(client);
		w = word[place(i)];
		i++;
		if
		:: client_of(w) != client && i < PLACES -> w = 0; goto find_word
		:: client_of(w) != client && i == PLACES -> w = 0; i = 0; goto choose_server
		:: client_of(w) == client && !is_real(w) -> w = 0; i = 0; goto choose_server
		:: client_of(w) == client && is_real(w) -> i = 0
		fi;
		follows[client] = follows[client] | this_cpu
	};
	atomic {
		if
		:: entry(slot_of(w), list) -> goto send
		:: else
		fi;
		follows[client] = follows[client] & ~this_cpu;
		w = 0
	};

choose_server:
	atomic {
		asked = list;
		if
		:: entry(_pid + 1, list) -> given = listed(client, _pid + 1, list)
		:: else -> given = listed(client, 2, list)
		fi
	};
lock:
	atomic {
		if
		:: FAULT == NO_LOCK
		:: FAULT != NO_LOCK && !lock_of(client) -> lock_of(client) = true
		:: lock_of(client) -> goto not_placed
		fi
	};

	/* Who had the lock before may have gone by a newer list. */
ask_for_list:
	atomic {
		if
		:: FAULT != LIST_ASKED_ONCE -> asked = bank
		:: else
		fi
	};
choose_place:
	atomic {
		w = word[place(i)];
		weigh(w, place(i));
		w = 0;
		i++;
		if
		:: kind < OWN_REAL && i < PLACES -> goto choose_place
		:: else -> i = 0
		fi
	};

	/* Others may have been faster: what is there now counts, if it is still what was chosen. */
place_client:
	atomic {
		w = word[at];
		if
		:: FAULT == SWAPPED_UNSEEN && kind == OWN_PENDING -> goto swap
		:: else
		fi;
		if
		:: kind == ANOTHERS -> goto swap
		:: kind == EMPTY && w == FREE -> goto swap
		:: kind == EMPTY && w != FREE -> goto lost
		:: kind >= OWN_PENDING && client_of(w) != client -> goto lost
		:: kind >= OWN_PENDING && client_of(w) == client && !is_real(w) -> goto swap
		:: kind >= OWN_PENDING && client_of(w) == client && is_real(w)
		fi;
		follows[client] = follows[client] | this_cpu
	};
	atomic {
		if
		:: entry(slot_of(w), asked) -> list = asked; goto unlock
		:: else
		fi;
		follows[client] = follows[client] & ~this_cpu
	};
	/* Its server has left; or it is of a newer list, and the words are to be read anew. */
	atomic {
		if
		:: asked == bank || FAULT == LIST_ASKED_ONCE -> goto swap
		:: else
		fi;
		if
		:: FAULT == WORD_READ_ONCE && entry(slot_of(w), bank) -> list = bank; goto unlock
		:: else -> goto lost
		fi
	};
swap:
	atomic {
		d_step { compare_and_swap(at, w, given) };
		if
		:: !swapped -> goto lost
		:: else
		fi;
		swapped = false;
		w = given;
		follows[client] = follows[client] | this_cpu;
		goto unlock
	};

lost:
	atomic {
		w = 0;
		at = 0;
		kind = 0;
		attempts++;
		if
		:: attempts < PLACE_ATTEMPTS -> goto ask_for_list
		:: else
		fi
	};

unlock:
	atomic {
		lock_of(client) = false;
		at = 0;
		kind = 0;
		attempts = 0;
not_placed:
		asked = 0;
		if
		:: w == 0 && FAULT == SENDS_UNPLACED ->
			w = given;
			follows[client] = follows[client] | this_cpu
		:: else
		fi;
		given = 0;
		if
		:: w == 0 -> goto drop
		:: else
		fi
	};

send:
	atomic {
		must(address_is_its_own, leads_home(w, list));
		if
		:: follows[client] & this_cpu ->
			must(one_server,
			     sent_to[client] == 0 || sent_to[client] == server_of(w));
			sent_to[client] = server_of(w)
		:: else
		fi
	};

drop:
	atomic {
		follows[client] = follows[client] & ~this_cpu;
		under_way = under_way & ~this_cpu;
		awaited[0] = awaited[0] & ~this_cpu;
		awaited[1] = awaited[1] & ~this_cpu;
		client = 0;
		w = 0;
		list = 0
	}
#if !ENDS
	;
	goto next_packet
#endif
}

#if STRANGERS
/* All that other clients' packets do to these buckets: at any time, anywhere. */
active proctype strangers()
{
	byte at, w;
	bit swapped;

	do
	:: atomic { any_place(at); w = word[at] };
	   atomic { d_step { compare_and_swap(at, w, a_stranger) }; at = 0; w = 0; swapped = 0 }
	od
}
#endif

/* ---- The daemon ---- */

/*
 * One thread: the turn goes to another task only while a task waits. A grace period waits for the
 * packets that are under way when it begins, and for no others.
 */
bool turn;

inline begin_turn()
{
	atomic { !turn -> turn = true }
}

inline wait_for_packets(task, waits)
{
	atomic { awaited[task] = (waits -> under_way : 0); turn = false };
	atomic { !turn && awaited[task] == 0 -> turn = true }
}

#if ENDS
bool died;
#define until_it_dies	      unless { died }

active proctype death()
{
	died = true
}
#else
#define until_it_dies
#endif

#if INSERT
/*
 * In two phases. A packet that began before the pending word was there may put the client
 * elsewhere: the second look sees that, as the packet is through by then. One that began later
 * finds the pending word and takes its place.
 */
active proctype insert()
{
	byte i, w, at, kind, inserted;
	byte client = 1;
	bit swapped;

	do
	:: begin_turn();
look:
	   atomic {
		w = word[i];
		weigh(w, i);
		w = 0;
		i++;
		if
		:: kind < OWN_PENDING && i < PLACES -> goto look
		:: kind < OWN_PENDING && i == PLACES -> i = 0
		:: kind >= OWN_PENDING -> goto next
		fi
	   };
	   atomic {
		w = word[at];
		if
		:: client_of(w) == client || kind == EMPTY && w != FREE -> goto next
		:: else
		fi
	   };
	   atomic {
		d_step {
			if
			:: FAULT == ONE_PHASE ->
				compare_and_swap(at, w, listed(client, INSERTED_SLOT, bank))
			:: else ->
				compare_and_swap(at, w, pending_of(client))
			fi
		};
		w = 0;
		kind = 0;
		if
		:: !swapped || FAULT == ONE_PHASE -> goto next
		:: else
		fi;
		swapped = false;
		if
		:: FAULT == SLOT_CHOSEN_BEFORE && entry(INSERTED_SLOT, bank) ->
			inserted = listed(client, INSERTED_SLOT, bank)
		:: else
		fi
	   };
	   wait_for_packets(0, FAULT != NO_GRACE_PERIOD);
second_look:
	   atomic {
		w = word[i];
		i++;
		if
		:: FAULT == NO_SECOND_LOOK -> w = 0; i = 0
		:: else ->
			if
			:: client_of(w) == client && is_real(w) ->
				w = 0; i = 0; inserted = FREE; goto settle
			:: else
			fi;
			w = 0;
			if
			:: i < PLACES -> goto second_look
			:: else -> i = 0
			fi
		fi;
		if
		:: FAULT != SLOT_CHOSEN_BEFORE && entry(INSERTED_SLOT, bank) ->
			inserted = listed(client, INSERTED_SLOT, bank)
		:: else
		fi
	   };
settle:
	   atomic { d_step { compare_and_swap(at, pending_of(client), inserted) } };
next:
	   atomic {
		turn = false;
		i = 0;
		w = 0;
		at = 0;
		kind = 0;
		inserted = 0;
		swapped = false
	   }
	od until_it_dies
}
#endif

#if FORGET
active proctype forget()
{
	byte at, w;
	bit swapped;

	do
	:: begin_turn();
	   atomic { any_place(at); w = word[at] };
	   atomic {
		if
		:: FAULT == FORGOTTEN_BY_STORE -> d_step { write(at, w, FREE) }
		:: else -> d_step { compare_and_swap(at, w, FREE) }
		fi;
		at = 0;
		w = 0;
		swapped = false;
		turn = false
	   }
	od until_it_dies
}
#endif

#if CHANGE
/*
 * Writes the bank that is out of force, and switches. Associations whose server the new list does
 * not have are void from then on.
 */
inline list_with(entry_of_slot_1)
{
	entry(1, 1 - bank) = entry_of_slot_1;
	d_step {
		bank = 1 - bank;
		do
		:: i < PLACES ->
			if
			:: is_real(word[i]) && !leads_home(word[i], bank) ->
				word[i] = word[i] | VOID
			:: else
			fi;
			i++
		:: else -> break
		od;
		i = 0
	}
}

/*
 * The server of slot 1 leaves. Then it comes back and finds its clients, or the slot is swept and
 * given to another address. A change that does not concern it may follow, after which both banks
 * have it.
 */
active proctype change()
{
	byte i, w;
	bit address, swapped;

	do
	:: begin_turn();
	   list_with(0);
	   wait_for_packets(1, FAULT != REUSED_WITHOUT_GRACE);
	   if
	   :: skip
	   :: address = 1 - address;
	      do
	      :: atomic {
			i < PLACES && FAULT != REUSED_WITHOUT_SWEEP;
			w = word[i];
			if
			:: slot_of(w) != 1 -> w = 0; i++
			:: slot_of(w) == 1
			fi
		 };
		 atomic {
			if
			:: w -> d_step { compare_and_swap(i, w, FREE) }; w = 0; swapped = false; i++
			:: else
			fi
		 }
	      :: else -> i = 0; break
	      od
	   fi;
	   list_with(1 + address);
	   wait_for_packets(1, FAULT != BANK_WRITTEN_AT_ONCE);
	   if
	   :: skip
	   :: list_with(1 + address);
	      wait_for_packets(1, true)
	   fi;
	   turn = false
	od until_it_dies
}
#endif

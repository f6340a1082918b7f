/* The outbox as a model: senders that claim, send and settle; a sweep that takes lost claims back; a deadline that closes a step
 * while its notice is under way; a person who answers for what must not happen twice. Senders may be killed at any point, and a
 * live one may be so slow that its claim is taken away. The first step's effect may be repeated under its key, the second is `once`.
 *
 * tests/model/check.sh runs it. NO_FENCE, NO_KEY and NO_START each take one guard of sql/functions/140_outbox.sql away: then the
 * checker must find a violation. */
#ifndef SENDERS
#define SENDERS 2
#endif
#define STEPS   2
#define KILLS   2      /* senders that may die, all together */
#define SLOW    2      /* claims that may be taken from a sender that lives */
#define RESENDS 1      /* times the person says: send it again */

mtype = { pending, claimed, done, cancelled, unknown };

mtype row[STEPS] = pending;
byte  token[STEPS];          /* counts claims and rescues: the fence */
bool  started[STEPS];        /* a `once` row, just before it leaves */
bool  orphan[STEPS];         /* whoever holds the claim is dead */
byte  left[STEPS];           /* requests that left the house */
byte  effect[STEPS];         /* times the receiver acted; a key it knows is not acted on again */
byte  closed[STEPS];         /* times the run was told that the step is over */
byte  step;                  /* where the run stands; STEPS: at its end */
byte  kills, slow, resends;

#define ONCE(n)  ((n) == 1)

inline close_step(n) { closed[n]++; step = n + 1 }

/* May die here: a claim that is still its own stays behind. */
inline mortal(n, mine) {
  if
  :: atomic { kills < KILLS -> kills++; if :: row[n] == claimed && token[n] == mine -> orphan[n] = true :: else fi; goto reborn }
  :: skip
  fi
}

active [SENDERS] proctype sender() {
  byte n, mine;
end_wait:
  do
  :: atomic { step < STEPS && row[step] == pending ->
       n = step; row[n] = claimed; token[n]++; mine = token[n]; orphan[n] = false; started[n] = false }
     mortal(n, mine);
     if
     :: ONCE(n) ->
        atomic {
          if
#ifndef NO_START
          :: row[n] == claimed && token[n] == mine -> started[n] = true
          :: else -> goto reborn                       /* the claim has passed to another: nothing may leave */
#else
          :: true
#endif
          fi
        }
        mortal(n, mine)
     :: else
     fi;
     atomic {
       left[n]++;
#ifdef NO_KEY
       effect[n]++
#else
       effect[n] = (ONCE(n) -> effect[n] + 1 : 1)
#endif
     }
     mortal(n, mine);
     atomic {
       if
#ifdef NO_FENCE
       :: row[n] != cancelled -> row[n] = done; close_step(n)
#else
       :: row[n] == claimed && token[n] == mine -> row[n] = done; close_step(n)
#endif
       :: else                                         /* too late: its answer counts no more */
       fi
     }
reborn: n = 0; mine = 0
  :: atomic { step == STEPS -> break }
  od
}

/* Takes claims back whose lease has run out. */
active proctype sweep() {
end_wait:
  do
  :: atomic { step < STEPS && row[step] == claimed && (orphan[step] || slow < SLOW) ->
       if :: orphan[step] :: else -> slow++ fi;
       token[step]++; orphan[step] = false;
       if
       :: ONCE(step) && started[step] -> row[step] = unknown
       :: else -> row[step] = pending
       fi }
  :: atomic { step == STEPS -> break }
  od
}

/* Asked whether a `once` effect left: says yes, or has it sent again on their own word. */
active proctype person() {
end_wait:
  do
  :: atomic { step < STEPS && row[step] == unknown ->
       if
       :: row[step] = done; close_step(step)
       :: resends < RESENDS -> resends++; row[step] = pending
       fi }
  :: atomic { step == STEPS -> break }
  od
}

/* Closes the first step when its time is over and its notice has not been answered. */
active proctype deadline() {
end_wait:
  do
  :: atomic { step == 0 && row[0] != done -> row[0] = cancelled; close_step(0); break }
  :: atomic { step > 0 -> break }
  od
}

active proctype judge() {
  atomic { step == STEPS ->
    assert(closed[0] == 1 && closed[1] == 1);          /* each step ends once */
    assert(effect[0] <= 1);                            /* a repeat under its key is seen as one */
    assert(left[1] <= 1 + resends)                     /* never twice without a person's word */
  }
}

ltl finishes { <> (step == STEPS) }

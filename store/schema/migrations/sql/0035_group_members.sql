-- The members of consumer groups, shown by the processes that hold them. The session of a process holds the advisory lock of a
-- number as long as it lasts. So a row whose lock is free belongs to a process that is gone, and its member can be removed from its
-- group at once. `holder`: that number. `server_started`: the run of PostgreSQL in which the lock was taken; a restart releases every lock.

CREATE TABLE IF NOT EXISTS group_members (
  group_id text NOT NULL,
  member_id text NOT NULL,
  holder int4 NOT NULL,
  server_started timestamptz NOT NULL,
  PRIMARY KEY (group_id, member_id)
);

-- Requests signed with an API key. The secret of a key is not stored: it follows from the nonce and a key that only API processes have;
-- keys from before have none and cannot sign. A signature that changes something is accepted once, in whichever process: it is kept for
-- as long as its time can be accepted.
ALTER TABLE api_keys ADD COLUMN signing_nonce bytea CHECK (octet_length(signing_nonce) = 32);

CREATE TABLE used_signatures (
  signature bytea PRIMARY KEY CHECK (octet_length(signature) = 32),
  used_at timestamptz NOT NULL
);

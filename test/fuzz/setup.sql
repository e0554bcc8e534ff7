CREATE TYPE mood AS ENUM ('glad', 'sad')
CREATE DOMAIN positive AS int CHECK (value > 0)
CREATE DOMAIN known AS text NOT NULL
CREATE DOMAIN tags AS text[] CHECK (cardinality(value) < 3)
CREATE FUNCTION streamx_fuzz(target text, options text) RETURNS void LANGUAGE c AS 'streamx_fuzz'

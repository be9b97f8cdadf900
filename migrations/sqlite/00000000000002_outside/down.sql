DROP TABLE anchor;
DROP TABLE cosignature;

DROP TABLE case_feature;
DROP TABLE finding;
DROP TABLE judged_case;
DROP TABLE survey;

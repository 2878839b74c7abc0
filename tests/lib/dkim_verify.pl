#!/usr/bin/perl
# dkim_verify.pl RECORDS FILE... - the same as dkim_verify.py, by Mail::DKIM. A
# signature of a kind that its version does not know is left out.
use strict;
use warnings;
use JSON::PP;
use Mail::DKIM::Verifier;

package Record;
sub new { my ( $class, $text ) = @_; return bless { text => $text }, $class }
sub type { return 'TXT' }
sub txtdata { return $_[0]{text} }
sub char_str_list { return $_[0]{text} }

package main;

sub slurp {
    open my $in, '<:raw', $_[0] or die "$_[0]: $!\n";
    local $/;
    return <$in>;
}

my $records = decode_json( slurp( shift @ARGV ) );
{
    no warnings 'redefine';
    *Mail::DKIM::DNS::query = sub {
        my ($name) = @_;
        return exists $records->{$name} ? Record->new( $records->{$name} ) : ();
    };
}
for my $path (@ARGV) {
    my $v = Mail::DKIM::Verifier->new;
    $v->PRINT( slurp($path) );
    $v->CLOSE;
    my @said;
    for my $s ( $v->signatures ) {
        my $result = $s->result;
        next if $s->result_detail =~ /unsupported algorithm/;
        warn "$path ", $s->result_detail, "\n" if $result ne 'pass';
        push @said, sprintf '%s/%s/%s=%s', $s->domain, $s->selector,
          $s->algorithm, $result eq 'pass' ? 'pass' : 'fail';
    }
    print join( ' ', $path, @said ), "\n";
}

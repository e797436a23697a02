"""What a person types and reads: `tally`.

    main      reads the arguments; the plain form of a reading command goes straight to `reads`, all else to click
    app       the commands by name; each module of `commands` is imported when one of its commands is asked for
    client    carries an operation to the running node, or opens the ledger itself
    keys      the signing key: this session's, or unsealed with the passphrase
    render    what came back, in words; `errors` what went wrong, in words

Nothing here knows a rule of the ledger, and nothing here imports libp2p or trio before a node is to run.
"""

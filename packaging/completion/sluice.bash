# bash completion for sluice; made by: sluice completion bash
_sluice() {
    local cur prev command
    cur=${COMP_WORDS[COMP_CWORD]}
    prev=${COMP_WORDS[COMP_CWORD-1]}
    if [ "$COMP_CWORD" -eq 1 ]; then
        COMPREPLY=($(compgen -W "run validate check plan discover preview state verify dlq retire connect plugin schema completion version help" -- "$cur"))
        return
    fi
    if [ "$COMP_CWORD" -eq 2 ]; then
        case ${COMP_WORDS[1]} in
        state) COMPREPLY=($(compgen -W "list show reset resync" -- "$cur")); return ;;
        dlq) COMPREPLY=($(compgen -W "list show replay" -- "$cur")); return ;;
        connect) COMPREPLY=($(compgen -W "list status plugins create update pause resume stop restart delete offsets logs" -- "$cur")); return ;;
        plugin) COMPREPLY=($(compgen -W "list describe" -- "$cur")); return ;;
        esac
    fi
    case $prev in
    --log-level) COMPREPLY=($(compgen -W "error warn info debug trace" -- "$cur")); return ;;
    --log-format) COMPREPLY=($(compgen -W "text json" -- "$cur")); return ;;
    --progress) COMPREPLY=($(compgen -W "auto bar log json" -- "$cur")); return ;;
    --format) COMPREPLY=($(compgen -W "text json markdown jsonschema" -- "$cur")); return ;;
    --plugin-dir|--state) COMPREPLY=($(compgen -d -- "$cur")); return ;;
    esac
    command="${COMP_WORDS[1]} ${COMP_WORDS[2]}"
    if [[ $cur == -* ]]; then
        case $command in
        "run"" "*) COMPREPLY=($(compgen -W "--help --version --json --quiet --no-color --log-level --log-format --plugin-dir --allow-core --once --follow --until --limit --tables --set --progress --parallelism --check-batches --strict" -- "$cur")) ;;
        "validate"" "*) COMPREPLY=($(compgen -W "--help --version --json --quiet --no-color --log-level --log-format --plugin-dir --allow-core --set --strict" -- "$cur")) ;;
        "check"" "*) COMPREPLY=($(compgen -W "--help --version --json --quiet --no-color --log-level --log-format --plugin-dir --allow-core --set" -- "$cur")) ;;
        "plan"" "*) COMPREPLY=($(compgen -W "--help --version --json --quiet --no-color --log-level --log-format --plugin-dir --allow-core --limit --tables --set --parallelism --columns" -- "$cur")) ;;
        "discover"" "*) COMPREPLY=($(compgen -W "--help --version --json --quiet --no-color --log-level --log-format --plugin-dir --allow-core --tables --set --columns" -- "$cur")) ;;
        "preview"" "*) COMPREPLY=($(compgen -W "--help --version --json --quiet --no-color --log-level --log-format --plugin-dir --allow-core --limit --tables --set" -- "$cur")) ;;
        "state list") COMPREPLY=($(compgen -W "--help --version --json --quiet --no-color --log-level --log-format --plugin-dir --allow-core --set --state" -- "$cur")) ;;
        "state show") COMPREPLY=($(compgen -W "--help --version --json --quiet --no-color --log-level --log-format --plugin-dir --allow-core --set --state" -- "$cur")) ;;
        "state reset") COMPREPLY=($(compgen -W "--help --version --json --quiet --no-color --log-level --log-format --plugin-dir --allow-core --set --state --stream --yes" -- "$cur")) ;;
        "state resync") COMPREPLY=($(compgen -W "--help --version --json --quiet --no-color --log-level --log-format --plugin-dir --allow-core --set --state --stream --yes" -- "$cur")) ;;
        "verify"" "*) COMPREPLY=($(compgen -W "--help --version --json --quiet --no-color --log-level --log-format --plugin-dir --allow-core --set --stream --window --rows" -- "$cur")) ;;
        "dlq list") COMPREPLY=($(compgen -W "--help --version --json --quiet --no-color --log-level --log-format --plugin-dir --allow-core --set --stream" -- "$cur")) ;;
        "dlq show") COMPREPLY=($(compgen -W "--help --version --json --quiet --no-color --log-level --log-format --plugin-dir --allow-core --set --stream" -- "$cur")) ;;
        "dlq replay") COMPREPLY=($(compgen -W "--help --version --json --quiet --no-color --log-level --log-format --plugin-dir --allow-core --set --all --stream --row" -- "$cur")) ;;
        "retire"" "*) COMPREPLY=($(compgen -W "--help --version --json --quiet --no-color --log-level --log-format --plugin-dir --allow-core --set --yes" -- "$cur")) ;;
        "connect list") COMPREPLY=($(compgen -W "--help --version --json --quiet --no-color --log-level --log-format --plugin-dir --allow-core --connect --ca" -- "$cur")) ;;
        "connect status") COMPREPLY=($(compgen -W "--help --version --json --quiet --no-color --log-level --log-format --plugin-dir --allow-core --connect --ca" -- "$cur")) ;;
        "connect plugins") COMPREPLY=($(compgen -W "--help --version --json --quiet --no-color --log-level --log-format --plugin-dir --allow-core --all --connect --ca" -- "$cur")) ;;
        "connect create") COMPREPLY=($(compgen -W "--help --version --json --quiet --no-color --log-level --log-format --plugin-dir --allow-core --connect --ca" -- "$cur")) ;;
        "connect update") COMPREPLY=($(compgen -W "--help --version --json --quiet --no-color --log-level --log-format --plugin-dir --allow-core --connect --ca" -- "$cur")) ;;
        "connect pause") COMPREPLY=($(compgen -W "--help --version --json --quiet --no-color --log-level --log-format --plugin-dir --allow-core --connect --ca" -- "$cur")) ;;
        "connect resume") COMPREPLY=($(compgen -W "--help --version --json --quiet --no-color --log-level --log-format --plugin-dir --allow-core --connect --ca" -- "$cur")) ;;
        "connect stop") COMPREPLY=($(compgen -W "--help --version --json --quiet --no-color --log-level --log-format --plugin-dir --allow-core --connect --ca" -- "$cur")) ;;
        "connect restart") COMPREPLY=($(compgen -W "--help --version --json --quiet --no-color --log-level --log-format --plugin-dir --allow-core --connect --ca --failed" -- "$cur")) ;;
        "connect delete") COMPREPLY=($(compgen -W "--help --version --json --quiet --no-color --log-level --log-format --plugin-dir --allow-core --yes --connect --ca" -- "$cur")) ;;
        "connect offsets") COMPREPLY=($(compgen -W "--help --version --json --quiet --no-color --log-level --log-format --plugin-dir --allow-core --yes --connect --ca" -- "$cur")) ;;
        "connect logs") COMPREPLY=($(compgen -W "--help --version --json --quiet --no-color --log-level --log-format --plugin-dir --allow-core --connect --ca" -- "$cur")) ;;
        "plugin list") COMPREPLY=($(compgen -W "--help --version --json --quiet --no-color --log-level --log-format --plugin-dir --allow-core" -- "$cur")) ;;
        "plugin describe") COMPREPLY=($(compgen -W "--help --version --json --quiet --no-color --log-level --log-format --plugin-dir --allow-core --format --all" -- "$cur")) ;;
        "schema"" "*) COMPREPLY=($(compgen -W "--help --version --json --quiet --no-color --log-level --log-format --plugin-dir --allow-core" -- "$cur")) ;;
        "completion"" "*) COMPREPLY=($(compgen -W "--help --version --json --quiet --no-color --log-level --log-format --plugin-dir --allow-core" -- "$cur")) ;;
        "version"" "*) COMPREPLY=($(compgen -W "--help --version --json --quiet --no-color --log-level --log-format --plugin-dir --allow-core" -- "$cur")) ;;
        "help"" "*) COMPREPLY=($(compgen -W "--help --version --json --quiet --no-color --log-level --log-format --plugin-dir --allow-core --man" -- "$cur")) ;;
        esac
        return
    fi
    case $command in
    completion*) COMPREPLY=($(compgen -W "bash zsh fish" -- "$cur")) ;;
    help*) COMPREPLY=($(compgen -W "run validate check plan discover preview state verify dlq retire connect plugin schema completion version help" -- "$cur")) ;;
    *) COMPREPLY=($(compgen -f -- "$cur")) ;;
    esac
}
complete -o filenames -F _sluice sluice

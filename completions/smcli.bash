# Completion of smcli in bash, printed by `smcli completions bash`. Pressing Tab starts no program.

# _smcli_takes COMMAND: its options, and which of them take a value
_smcli_takes() {
  options='' valued=''
  case $1 in
    '')
      options='--version -h --help'
      valued=''
      ;;
    eval)
      options='--input-format --key --columns --target-column --axis -i --input --rows -d --dtype --compute
        --accumulate --sum -T --temperature --softcap --digits --confirm --trace -t --target --labels
        --label-smoothing --class-weights --z-loss --ignore-index --against --reverse --gamma --coefficients
        --reduction -f --format -o --output --no-color --summary --fail-on --max-ulp --max-rel --all --top -v
        --verbose --plot -m --method -q --quantity -h --help'
      valued='--input-format --key --columns --target-column --axis -i --input --rows -d --dtype --compute
        --accumulate --sum -T --temperature --softcap --digits -t --target --labels --label-smoothing
        --class-weights --z-loss --ignore-index --against --gamma --coefficients --reduction -f --format -o
        --output --fail-on --max-ulp --max-rel --top --plot -m --method -q --quantity'
      ;;
    compare)
      options='--input-format --key --columns --target-column --axis -i --input --rows -d --dtype --compute
        --accumulate --sum -T --temperature --softcap --digits --confirm --trace -t --target --labels
        --label-smoothing --class-weights --z-loss --ignore-index --against --reverse --gamma --coefficients
        --reduction -f --format -o --output --no-color --summary --fail-on --max-ulp --max-rel --all --top -v
        --verbose --plot -m --method -q --quantity -h --help'
      valued='--input-format --key --columns --target-column --axis -i --input --rows -d --dtype --compute
        --accumulate --sum -T --temperature --softcap --digits -t --target --labels --label-smoothing
        --class-weights --z-loss --ignore-index --against --gamma --coefficients --reduction -f --format -o
        --output --fail-on --max-ulp --max-rel --top --plot -m --method -q --quantity'
      ;;
    grad)
      options='--input-format --key --columns --target-column --axis -i --input --rows -d --dtype --compute
        --accumulate --sum -T --temperature --softcap --digits --confirm --trace -t --target --labels
        --label-smoothing --class-weights --z-loss --ignore-index --against --reverse --gamma --coefficients
        --reduction -f --format -o --output --no-color --summary --fail-on --max-ulp --max-rel --all --top -v
        --verbose --plot -m --method -q --quantity --step --cotangent --sweep -h --help'
      valued='--input-format --key --columns --target-column --axis -i --input --rows -d --dtype --compute
        --accumulate --sum -T --temperature --softcap --digits -t --target --labels --label-smoothing
        --class-weights --z-loss --ignore-index --against --gamma --coefficients --reduction -f --format -o
        --output --fail-on --max-ulp --max-rel --top --plot -m --method -q --quantity --step --cotangent'
      ;;
    check)
      options='--input-format --key --columns --target-column --axis --rows -d --dtype -T --temperature
        --softcap --digits -t --target --labels --label-smoothing --class-weights --z-loss --ignore-index
        --against --reverse --gamma --coefficients --reduction -f --format -o --output --no-color --summary
        --fail-on --max-ulp --max-rel --all --top -v --verbose --plot --logits-dtype -q --quantity --out-key
        --rtol --atol -h --help'
      valued='--input-format --key --columns --target-column --axis --rows -d --dtype -T --temperature
        --softcap --digits -t --target --labels --label-smoothing --class-weights --z-loss --ignore-index
        --against --gamma --coefficients --reduction -f --format -o --output --fail-on --max-ulp --max-rel
        --top --plot --logits-dtype -q --quantity --out-key --rtol --atol'
      ;;
    scan)
      options='--input-format --key --columns --target-column --axis -d --dtype --compute --accumulate --sum
        -T --temperature --softcap -t --target --labels --label-smoothing --class-weights --z-loss
        --ignore-index --against --reverse --gamma --coefficients -f --format -o --output --no-color --summary
        --fail-on --max-ulp --max-rel -m --method -q --quantity --quick --jobs --scheduler --keep-going -h
        --help'
      valued='--input-format --key --columns --target-column --axis -d --dtype --compute --accumulate --sum -T
        --temperature --softcap -t --target --labels --label-smoothing --class-weights --z-loss --ignore-index
        --against --gamma --coefficients -f --format -o --output --fail-on --max-ulp --max-rel -m --method -q
        --quantity --jobs --scheduler'
      ;;
    limits)
      options='-f --format -o --output --no-color --compute -h --help'
      valued='-f --format -o --output --compute'
      ;;
    explain)
      options='-f --format -o --output --no-color -h --help'
      valued='-f --format -o --output'
      ;;
    methods)
      options='-f --format -o --output --no-color -h --help'
      valued='-f --format -o --output'
      ;;
    completions)
      options='-h --help'
      valued=''
      ;;
  esac
}

# _smcli_fits COMMAND OPTION: the values of an option, or without one of the arguments
_smcli_fits() {
  values='' files='' separated=''
  case $1:$2 in
    :)
      values='eval compare grad check scan limits explain methods completions'
      ;;
    *:--input-format)
      values='csv json jsonl npy npz safetensors text'
      ;;
    *:-i | *:--input | *:-t | *:--target | *:--labels | *:--class-weights | *:--against | *:-o | \
      *:--output | *:--plot | check: | scan:)
      files=1
      ;;
    *:-d | *:--dtype | limits:)
      separated=1
      values='float64 float32 float16 bfloat16 float8_e4m3fn float8_e5m2 all'
      ;;
    *:--compute | *:--accumulate | *:--logits-dtype)
      values='float64 float32 float16 bfloat16 float8_e4m3fn float8_e5m2'
      ;;
    *:--sum)
      values='pairwise sequential compensated'
      ;;
    *:--reduction)
      values='none mean sum perplexity'
      ;;
    *:-f | *:--format)
      values='table csv github html json markdown plain svg'
      ;;
    *:--fail-on)
      separated=1
      values='never note warning error SM101 SM102 SM103 SM104 SM201 SM202 SM203 SM204 SM301 SM302 SM303 SM304
        SM401 SM402 SM403 SM404 SM405 SM406 SM407 SM408 SM409 SM410 SM411 SM501 SM502 SM503 SM901 SM902 SM903
        SM904'
      ;;
    eval:-m | eval:--method)
      values='exact naive shifted fused logspace explse log1p online online-lazy two-pass base2 base2-fma
        base2-nofma clipped bceloss epsilon bregman bigfloat numpy numpy-shifted scipy torch torch-compile jax
        jax-jit tensorflow tensorflow-by-hand onnxruntime'
      ;;
    eval:-q | eval:--quantity | compare:-q | compare:--quantity | scan:-q | scan:--quantity)
      separated=1
      values='softmax log-softmax logsumexp cross-entropy bce sigmoid log-sigmoid entropy kl focal all'
      ;;
    compare:-m | compare:--method | scan:-m | scan:--method)
      separated=1
      values='naive shifted fused logspace explse log1p online online-lazy two-pass base2 base2-fma
        base2-nofma clipped bceloss epsilon bregman bigfloat numpy numpy-shifted scipy torch torch-compile jax
        jax-jit tensorflow tensorflow-by-hand onnxruntime all libraries'
      ;;
    grad:-m | grad:--method)
      separated=1
      values='naive shifted fused logspace explse log1p online online-lazy two-pass base2 base2-fma
        base2-nofma clipped bceloss epsilon bregman fd numpy numpy-shifted torch torch-compile jax jax-jit
        tensorflow tensorflow-by-hand all libraries'
      ;;
    grad:-q | grad:--quantity)
      separated=1
      values='cross-entropy bce entropy kl focal'
      ;;
    check:-q | check:--quantity)
      values='softmax log-softmax logsumexp cross-entropy bce sigmoid log-sigmoid entropy kl focal gradient
        jacobian'
      ;;
    explain:)
      separated=1
      values='SM101 SM102 SM103 SM104 SM201 SM202 SM203 SM204 SM301 SM302 SM303 SM304 SM401 SM402 SM403 SM404
        SM405 SM406 SM407 SM408 SM409 SM410 SM411 SM501 SM502 SM503 SM901 SM902 SM903 SM904'
      ;;
    completions:)
      values='bash fish powershell zsh'
      ;;
  esac
}

# The words up to the cursor; bash may have cut them at = and :
_smcli_words() {
  local rest=${COMP_LINE:0:COMP_POINT} before word i
  words=()
  for ((i = 0; i <= COMP_CWORD; i++)); do
    if ((i < COMP_CWORD)); then
      word=${COMP_WORDS[i]}
      before=${rest%%"$word"*}
      rest=${rest#*"$word"}
    else
      before=${rest%%[![:space:]]*}
      word=${rest#"$before"}
    fi
    if [[ $i -gt 0 && -z $before ]]; then
      words[${#words[@]} - 1]+=$word
    else
      words[${#words[@]}]=$word
    fi
  done
}

# _smcli_option WORD: the option in it that takes a value (open), and the word's text before and in that value
_smcli_option() {
  local i
  open='' before='' value='' attached=''
  case $1 in
    --*=*) open=${1%%=*} before=${1%%=*}= value=${1#*=} attached=1 ;;
    --*) open=$1 ;;
    -[0-9.]* | -[iI][nN][fF]* | -[nN][aA][nN]*) ;;
    -*)
      for ((i = 1; i < ${#1}; i++)); do
        open=-${1:i:1}
        if [[ " $valued " == *[[:space:]]"$open"[[:space:]]* ]]; then
          before=${1:0:i+1} value=${1:i+1}
          [[ -n $value ]] && attached=1
          break
        fi
      done
      ;;
  esac
  [[ " $valued " == *[[:space:]]"$open"[[:space:]]* ]] || open=''
}

# _smcli_offer WORD...: those that continue what was typed; bash keeps what stands before the last = or :
_smcli_offer() {
  local breaks='' kept='' word
  [[ $COMP_WORDBREAKS == *=* ]] && breaks+='='
  [[ $COMP_WORDBREAKS == *:* ]] && breaks+=':'
  [[ -n $breaks ]] && kept=${current%"${current##*[$breaks]}"}
  for word in "$@"; do
    word=$before$word
    [[ $word == "$current"* ]] && COMPREPLY[${#COMPREPLY[@]}]=${word#"$kept"}
  done
}

_smcli() {
  local IFS=$' \t\n' words current word i command='' only_arguments=''
  local options valued values files separated
  local open='' before='' value='' attached=''
  COMPREPLY=()
  _smcli_words
  current=${words[${#words[@]} - 1]}

  _smcli_takes ''
  for ((i = 1; i < ${#words[@]} - 1; i++)); do
    word=${words[i]}
    if [[ -n $open ]]; then
      open=''
    elif [[ -z $only_arguments && $word == -- ]]; then
      only_arguments=1
    elif [[ -z $only_arguments && $word == -?* ]]; then
      _smcli_option "$word"
      [[ -n $attached ]] && open=''
    elif [[ -z $command ]]; then
      command=$word
      _smcli_takes "$command"
    fi
  done

  if [[ -n $open ]]; then
    before='' value=$current
  elif [[ -z $only_arguments && $current == -* ]]; then
    _smcli_option "$current"
    if [[ -z $attached || -z $open ]]; then
      before=''
      _smcli_offer $options
      return
    fi
  else
    before='' value=$current
  fi

  _smcli_fits "$command" "$open"
  if [[ -n $files ]]; then
    # bash itself lists files best, quotes and all; before version 4 it cannot be asked to
    compopt -o default 2>/dev/null || while IFS= read -r word; do
      COMPREPLY[${#COMPREPLY[@]}]=$word
    done < <(compgen -f -- "$value")
  elif [[ -n $values ]]; then
    [[ -n $separated && $value == *,* ]] && before+=${value%,*},
    _smcli_offer $values
  elif [[ -z $open$current$only_arguments ]]; then
    for word in $options; do
      [[ $word == --* ]] && _smcli_offer "$word"
    done
  fi
}

complete -F _smcli smcli

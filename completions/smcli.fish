# Completion of smcli in fish, printed by `smcli completions fish`. Pressing Tab starts no program.

# Whether the command typed is one of these; without any: whether none was typed yet.
function __smcli_is
    set -l words (commandline -opc)
    for word in $words[2..]
        string match -q -- '-*' $word
        or begin
            contains -- $word $argv
            return
        end
    end
    test -z "$argv"
end

function __smcli_words
    printf '%s\n' $argv
end

# The words, each behind what was typed before the last comma.
function __smcli_list
    set -l before (string replace -r -- '^(?:--[^=]*=|-[a-zA-Z])?((?:.*,)?)[^,]*$' '$1' (commandline -ct))
    printf '%s\n' $before$argv
end

function __smcli_command
    __smcli_words \
        eval\t'Print the values of one method' \
        compare\t'Show methods beside the truth: values, errors, what went wrong' \
        grad\t'Show derivatives beside the truth: a gradient or a Jacobian' \
        check\t'Judge values that other code computed: softmax, losses or derivatives in a file' \
        scan\t'Judge many rows: counts, a histogram of errors, findings, and the worst rows' \
        limits\t'Show where each number format overflows, underflows and stalls' \
        explain\t'Explain a finding: what it means, why it happens, how to fix it' \
        methods\t'List the methods: what each computes and where it comes from' \
        completions\t'Print the script that completes the command line in a shell'
end

function __smcli_input_format
    __smcli_words \
        csv\t'CSV: a line is a row, a header names the columns; cells stand between commas, semicolons or tabs.' \
        json\t'JSON: a list of numbers, a list of rows, or an object with the logits under a key.' \
        jsonl\t'JSON lines: one JSON value a line, read line by line.' \
        npy\t'NumPy\'s .npy: one array, mapped and not read where it is a file; a pickle is never loaded.' \
        npz\t'NumPy\'s .npz: a zip archive of arrays; one that is not compressed is mapped.' \
        safetensors\t'safetensors: a JSON header and the bytes of the tensors behind it, mapped; nothing else is needed to read it.' \
        text\t'Text: numbers in lines, or in the brackets that Python, NumPy, torch, JAX, TensorFlow, R, Julia, MATLAB and C write.'
end

function __smcli_dtype
    __smcli_list \
        float64\t'64 bits, 53 of them significant, up to 1.79769e+308.' \
        float32\t'32 bits, 24 of them significant, up to 3.40282e+38.' \
        float16\t'16 bits, 11 of them significant, up to 65504.' \
        bfloat16\t'16 bits, 8 of them significant, up to 3.38953e+38.' \
        float8_e4m3fn\t'8 bits, 4 of them significant, up to 448.' \
        float8_e5m2\t'8 bits, 3 of them significant, up to 57344.' \
        all\t'Every number format.'
end

function __smcli_compute
    __smcli_words \
        float64\t'64 bits, 53 of them significant, up to 1.79769e+308.' \
        float32\t'32 bits, 24 of them significant, up to 3.40282e+38.' \
        float16\t'16 bits, 11 of them significant, up to 65504.' \
        bfloat16\t'16 bits, 8 of them significant, up to 3.38953e+38.' \
        float8_e4m3fn\t'8 bits, 4 of them significant, up to 448.' \
        float8_e5m2\t'8 bits, 3 of them significant, up to 57344.'
end

function __smcli_sum
    __smcli_words \
        pairwise \
        sequential \
        compensated
end

function __smcli_reduction
    __smcli_words \
        none \
        mean \
        sum \
        perplexity
end

function __smcli_format
    __smcli_words \
        table\t'The table that people read: Rich, as wide as the terminal allows, and no number is ever cut.' \
        csv\t'Comma-separated values (RFC 4180) for spreadsheets and data frames: a header, then a class a line, always whole.' \
        github\t'Workflow commands of GitHub Actions: a finding becomes an annotation of the run.' \
        html\t'A page that says it all: the answer and the findings first, then tables and figures. One file, no script, no link.' \
        json\t'The JSON document that scripts rely on, written as it goes: a row, and of a long row a piece, at a time.' \
        markdown\t'Markdown as GitHub reads it, for pasting into an issue: the answer, pipe tables, then the findings.' \
        plain\t'Tab-separated lines for awk, sort and cut: a header, then a class a line; findings on stderr.' \
        svg\t'The table as a picture for a README: one self-contained SVG, as wide as what it shows.'
end

function __smcli_fail_on
    __smcli_list \
        never\t'Whatever is found.' \
        note\t'Findings from note up.' \
        warning\t'Findings from warning up.' \
        error\t'Errors only.' \
        SM101\t'nan-logit (error)' \
        SM102\t'infinite-logit (error)' \
        SM103\t'all-masked (error)' \
        SM104\t'masked-target (note)' \
        SM201\t'exp-overflow (error)' \
        SM202\t'sum-overflow (error)' \
        SM203\t'scale-overflow (error)' \
        SM204\t'result-overflow (warning)' \
        SM301\t'underflow-not-representable (note)' \
        SM302\t'underflow-lost (warning)' \
        SM303\t'log-of-zero (error)' \
        SM304\t'zero-sum (error)' \
        SM401\t'inaccurate (warning)' \
        SM402\t'saturated (warning)' \
        SM403\t'not-normalised (warning)' \
        SM404\t'stalled-sum (warning)' \
        SM405\t'subnormal-intermediate (warning)' \
        SM406\t'ill-conditioned (note)' \
        SM407\t'cumulative-sum (note)' \
        SM408\t'cancelled-sum (warning)' \
        SM409\t'stray-nan (error)' \
        SM410\t'batch-differs (warning)' \
        SM411\t'row-by-row (note)' \
        SM501\t'backward-nan (error)' \
        SM502\t'vanished-gradient (warning)' \
        SM503\t'gradient-sum (warning)' \
        SM901\t'rounded-logit (note)' \
        SM902\t'logit-overflow (error)' \
        SM903\t'looks-like-probabilities (warning)' \
        SM904\t'clip-constant (note)'
end

function __smcli_method
    __smcli_words \
        exact\t'The certified truth.' \
        naive\t'Exponentiate as it is: exp overflows for large logits, underflows for small ones.' \
        shifted\t'Subtract the maximum first: exp cannot overflow, small terms may underflow to 0.' \
        fused\t'Stay in log space: (x - max) - log sum exp(x - max); no log of a small probability is ever taken.' \
        logspace\t'The exponential of the fused log-softmax.' \
        explse\t'exp(x - logsumexp): the rounding of the logsumexp costs |lse| ulps of relative accuracy.' \
        log1p\t'Leave the maximum\'s own 1 out of the sum and take log1p: a logsumexp near the maximum keeps its digits.' \
        online\t'One pass: the running sum is rescaled whenever a larger maximum appears. Sums one after the other.' \
        online-lazy\t'One pass that rescales only when the maximum has grown by more than 8*ln 2, so exp may reach 256.' \
        two-pass\t'Every exponential as a mantissa and a separate exponent: no maximum is needed and nothing overflows.' \
        base2\t'Powers of two: 2^((x - max)*log2 e).' \
        base2-fma\t'Powers of two with the product before the shift, fused: 2^fma(x, log2 e, -max*log2 e).' \
        base2-nofma\t'Powers of two with both products rounded before they are subtracted: an offset costs its digits.' \
        clipped\t'Clip the probability to [eps, 1 - eps] before the log: finite, but the loss sticks at -log eps.' \
        bceloss\t'Clamp the log of the probability at -100, as BCELoss does: finite, but no loss is above 100.' \
        epsilon\t'Add eps before the log, log(p + eps): finite, but wrong wherever p is near eps, and the loss sticks at -log eps.' \
        bregman\t'sum p*(e^d - 1 - d), d = log q - log p, which no log-softmax is needed for: nothing cancels where rows nearly agree.' \
        bigfloat\t'The definition with an unbounded exponent and the format\'s p bits: no overflow, yet every step still rounds.' \
        numpy\t'NumPy as everyone writes it first: exponentials over their sum.' \
        numpy-shifted\t'NumPy as everyone writes it next: the maximum subtracted first.' \
        scipy\t'SciPy\'s special functions; the cross-entropy is minus its log_softmax at the target, entropies are sums.' \
        torch\t'PyTorch, eager, on the CPU; derivatives by autograd.' \
        torch-compile\t'PyTorch, compiled by torch.compile: other kernels than the eager ones. The first call takes half a minute.' \
        jax\t'JAX, eager, operation by operation; derivatives by jax.grad and jax.jacrev.' \
        jax-jit\t'JAX, compiled by jax.jit: XLA fuses the operations, and may round less often.' \
        tensorflow\t'TensorFlow with the fused loss, as its manual advises; derivatives by GradientTape.' \
        tensorflow-by-hand\t'TensorFlow with the loss by hand, -sum y*log softmax(x), which its manual advises against.' \
        onnxruntime\t'ONNX Runtime\'s operators on the CPU.'
end

function __smcli_quantity
    __smcli_list \
        softmax \
        log-softmax \
        logsumexp \
        cross-entropy \
        bce \
        sigmoid \
        log-sigmoid \
        entropy \
        kl \
        focal \
        all\t'All but bce.'
end

function __smcli_method_of_compare
    __smcli_list \
        naive\t'Exponentiate as it is: exp overflows for large logits, underflows for small ones.' \
        shifted\t'Subtract the maximum first: exp cannot overflow, small terms may underflow to 0.' \
        fused\t'Stay in log space: (x - max) - log sum exp(x - max); no log of a small probability is ever taken.' \
        logspace\t'The exponential of the fused log-softmax.' \
        explse\t'exp(x - logsumexp): the rounding of the logsumexp costs |lse| ulps of relative accuracy.' \
        log1p\t'Leave the maximum\'s own 1 out of the sum and take log1p: a logsumexp near the maximum keeps its digits.' \
        online\t'One pass: the running sum is rescaled whenever a larger maximum appears. Sums one after the other.' \
        online-lazy\t'One pass that rescales only when the maximum has grown by more than 8*ln 2, so exp may reach 256.' \
        two-pass\t'Every exponential as a mantissa and a separate exponent: no maximum is needed and nothing overflows.' \
        base2\t'Powers of two: 2^((x - max)*log2 e).' \
        base2-fma\t'Powers of two with the product before the shift, fused: 2^fma(x, log2 e, -max*log2 e).' \
        base2-nofma\t'Powers of two with both products rounded before they are subtracted: an offset costs its digits.' \
        clipped\t'Clip the probability to [eps, 1 - eps] before the log: finite, but the loss sticks at -log eps.' \
        bceloss\t'Clamp the log of the probability at -100, as BCELoss does: finite, but no loss is above 100.' \
        epsilon\t'Add eps before the log, log(p + eps): finite, but wrong wherever p is near eps, and the loss sticks at -log eps.' \
        bregman\t'sum p*(e^d - 1 - d), d = log q - log p, which no log-softmax is needed for: nothing cancels where rows nearly agree.' \
        bigfloat\t'The definition with an unbounded exponent and the format\'s p bits: no overflow, yet every step still rounds.' \
        numpy\t'NumPy as everyone writes it first: exponentials over their sum.' \
        numpy-shifted\t'NumPy as everyone writes it next: the maximum subtracted first.' \
        scipy\t'SciPy\'s special functions; the cross-entropy is minus its log_softmax at the target, entropies are sums.' \
        torch\t'PyTorch, eager, on the CPU; derivatives by autograd.' \
        torch-compile\t'PyTorch, compiled by torch.compile: other kernels than the eager ones. The first call takes half a minute.' \
        jax\t'JAX, eager, operation by operation; derivatives by jax.grad and jax.jacrev.' \
        jax-jit\t'JAX, compiled by jax.jit: XLA fuses the operations, and may round less often.' \
        tensorflow\t'TensorFlow with the fused loss, as its manual advises; derivatives by GradientTape.' \
        tensorflow-by-hand\t'TensorFlow with the loss by hand, -sum y*log softmax(x), which its manual advises against.' \
        onnxruntime\t'ONNX Runtime\'s operators on the CPU.' \
        all\t'Every formula.' \
        libraries\t'Every library that is installed.'
end

function __smcli_method_of_grad
    __smcli_list \
        naive\t'Exponentiate as it is: exp overflows for large logits, underflows for small ones.' \
        shifted\t'Subtract the maximum first: exp cannot overflow, small terms may underflow to 0.' \
        fused\t'Stay in log space: (x - max) - log sum exp(x - max); no log of a small probability is ever taken.' \
        logspace\t'The exponential of the fused log-softmax.' \
        explse\t'exp(x - logsumexp): the rounding of the logsumexp costs |lse| ulps of relative accuracy.' \
        log1p\t'Leave the maximum\'s own 1 out of the sum and take log1p: a logsumexp near the maximum keeps its digits.' \
        online\t'One pass: the running sum is rescaled whenever a larger maximum appears. Sums one after the other.' \
        online-lazy\t'One pass that rescales only when the maximum has grown by more than 8*ln 2, so exp may reach 256.' \
        two-pass\t'Every exponential as a mantissa and a separate exponent: no maximum is needed and nothing overflows.' \
        base2\t'Powers of two: 2^((x - max)*log2 e).' \
        base2-fma\t'Powers of two with the product before the shift, fused: 2^fma(x, log2 e, -max*log2 e).' \
        base2-nofma\t'Powers of two with both products rounded before they are subtracted: an offset costs its digits.' \
        clipped\t'Clip the probability to [eps, 1 - eps] before the log: finite, but the loss sticks at -log eps.' \
        bceloss\t'Clamp the log of the probability at -100, as BCELoss does: finite, but no loss is above 100.' \
        epsilon\t'Add eps before the log, log(p + eps): finite, but wrong wherever p is near eps, and the loss sticks at -log eps.' \
        bregman\t'sum p*(e^d - 1 - d), d = log q - log p, which no log-softmax is needed for: nothing cancels where rows nearly agree.' \
        fd\t'Central finite differences, (f(x + h) - f(x - h)) / 2h: truncation falls with h, rounding grows.' \
        numpy\t'NumPy as everyone writes it first: exponentials over their sum.' \
        numpy-shifted\t'NumPy as everyone writes it next: the maximum subtracted first.' \
        torch\t'PyTorch, eager, on the CPU; derivatives by autograd.' \
        torch-compile\t'PyTorch, compiled by torch.compile: other kernels than the eager ones. The first call takes half a minute.' \
        jax\t'JAX, eager, operation by operation; derivatives by jax.grad and jax.jacrev.' \
        jax-jit\t'JAX, compiled by jax.jit: XLA fuses the operations, and may round less often.' \
        tensorflow\t'TensorFlow with the fused loss, as its manual advises; derivatives by GradientTape.' \
        tensorflow-by-hand\t'TensorFlow with the loss by hand, -sum y*log softmax(x), which its manual advises against.' \
        all\t'Every formula.' \
        libraries\t'Every library that is installed.'
end

function __smcli_quantity_of_grad
    __smcli_list \
        cross-entropy \
        bce \
        entropy \
        kl \
        focal
end

function __smcli_quantity_of_check
    __smcli_words \
        softmax \
        log-softmax \
        logsumexp \
        cross-entropy \
        bce \
        sigmoid \
        log-sigmoid \
        entropy \
        kl \
        focal \
        gradient \
        jacobian
end

function __smcli_explain
    __smcli_list \
        SM101\t'nan-logit (error)' \
        SM102\t'infinite-logit (error)' \
        SM103\t'all-masked (error)' \
        SM104\t'masked-target (note)' \
        SM201\t'exp-overflow (error)' \
        SM202\t'sum-overflow (error)' \
        SM203\t'scale-overflow (error)' \
        SM204\t'result-overflow (warning)' \
        SM301\t'underflow-not-representable (note)' \
        SM302\t'underflow-lost (warning)' \
        SM303\t'log-of-zero (error)' \
        SM304\t'zero-sum (error)' \
        SM401\t'inaccurate (warning)' \
        SM402\t'saturated (warning)' \
        SM403\t'not-normalised (warning)' \
        SM404\t'stalled-sum (warning)' \
        SM405\t'subnormal-intermediate (warning)' \
        SM406\t'ill-conditioned (note)' \
        SM407\t'cumulative-sum (note)' \
        SM408\t'cancelled-sum (warning)' \
        SM409\t'stray-nan (error)' \
        SM410\t'batch-differs (warning)' \
        SM411\t'row-by-row (note)' \
        SM501\t'backward-nan (error)' \
        SM502\t'vanished-gradient (warning)' \
        SM503\t'gradient-sum (warning)' \
        SM901\t'rounded-logit (note)' \
        SM902\t'logit-overflow (error)' \
        SM903\t'looks-like-probabilities (warning)' \
        SM904\t'clip-constant (note)'
end

function __smcli_completions
    __smcli_words \
        bash \
        fish \
        powershell \
        zsh
end

complete -c smcli -f
complete -c smcli -n __smcli_is -a '(__smcli_command)'
complete -c smcli -n __smcli_is -l version -d 'Print the version.'
complete -c smcli -n __smcli_is -s h -l help -d 'Show this message and exit.'
complete -c smcli -n '__smcli_is check' -F
complete -c smcli -n '__smcli_is scan' -F
complete -c smcli -n '__smcli_is limits' -f -a '(__smcli_dtype)'
complete -c smcli -n '__smcli_is explain' -f -a '(__smcli_explain)'
complete -c smcli -n '__smcli_is completions' -f -a '(__smcli_completions)'
complete -c smcli -n '__smcli_is eval compare grad check scan' -l input-format -r -f -a '(__smcli_input_format)' -d 'Kind of the input: csv, json, jsonl, npy, npz, safetensors, text.'
complete -c smcli -n '__smcli_is eval compare grad check scan' -l key -x -d 'Which array to read from a file that holds several.'
complete -c smcli -n '__smcli_is eval compare grad check scan' -l columns -x -d 'Which columns of a CSV file with a header hold the logits.'
complete -c smcli -n '__smcli_is eval compare grad check scan' -l target-column -x -d 'Which column of a CSV file with a header holds the target.'
complete -c smcli -n '__smcli_is eval compare grad check scan' -l axis -x -d 'Which axis of an array or of nested lists the classes are.'
complete -c smcli -n '__smcli_is eval compare grad' -s i -l input -r -F -d 'Read the logits from a file; \'-\' is standard input.'
complete -c smcli -n '__smcli_is eval compare grad check' -l rows -x -d 'Which rows of a batch to take, as a Python slice.'
complete -c smcli -n '__smcli_is eval compare grad' -s d -l dtype -r -f -a '(__smcli_dtype)' -d 'Number format to compute in: float64 float32 float16 bfloat16 float8_e4m3fn float8_e5m2; several, or all, to compare formats.'
complete -c smcli -n '__smcli_is eval compare grad scan' -l compute -r -f -a '(__smcli_compute)' -d 'Compute in this wider format and round the result once to --dtype, as kernels do.'
complete -c smcli -n '__smcli_is eval compare grad scan' -l accumulate -r -f -a '(__smcli_compute)' -d 'Number format of running sums.'
complete -c smcli -n '__smcli_is eval compare grad scan' -l sum -r -f -a '(__smcli_sum)' -d 'How sums are added up: pairwise, sequential or compensated.'
complete -c smcli -n '__smcli_is eval compare grad check scan' -s T -l temperature -x -d 'Divide the logits by T.'
complete -c smcli -n '__smcli_is eval compare grad check scan' -l softcap -x -d 'Apply CAP*tanh(x/CAP) to the logits.'
complete -c smcli -n '__smcli_is eval compare grad check' -l digits -x -d 'Significant digits of the truth, 1 to 10000.'
complete -c smcli -n '__smcli_is eval compare grad' -l confirm -d 'Compute every digit of the truth once more by other arithmetic, mpmath and python-flint.'
complete -c smcli -n '__smcli_is eval compare grad' -l trace -d 'Show the steps of every method: the range of each, and where it first went wrong.'
complete -c smcli -n '__smcli_is eval compare grad check scan' -s t -l target -r -F -d 'The right class, counted from 0; for a batch a list (0,2,1) or a file.'
complete -c smcli -n '__smcli_is eval compare grad check scan' -l labels -r -F -d 'Soft labels, one for each class, or a file of them.'
complete -c smcli -n '__smcli_is eval compare grad check scan' -l label-smoothing -x -d 'Turn the labels y into y(1 - E) + E/K, K being the number of classes.'
complete -c smcli -n '__smcli_is eval compare grad check scan' -l class-weights -r -F -d 'Weights of the classes in the loss.'
complete -c smcli -n '__smcli_is eval compare grad check scan' -l z-loss -x -d 'Add Z*logsumexp^2 to the loss.'
complete -c smcli -n '__smcli_is eval compare grad check scan' -l ignore-index -x -d 'Leave out rows with this target.'
complete -c smcli -n '__smcli_is eval compare grad check scan' -l against -r -F -d 'kl: the logits of the teacher, or a file of rows of them; FILE:KEY is one of its arrays.'
complete -c smcli -n '__smcli_is eval compare grad check scan' -l reverse -d 'kl: from the logits to the teacher, not from the teacher to them.'
complete -c smcli -n '__smcli_is eval compare grad check scan' -l gamma -x -d 'focal: the exponent of 1 - p.'
complete -c smcli -n '__smcli_is eval compare grad check scan' -l coefficients -x -d 'logsumexp: log of the absolute value of sum B*exp(x), with a factor of either sign for each class.'
complete -c smcli -n '__smcli_is eval compare grad check' -l reduction -r -f -a '(__smcli_reduction)' -d 'Combine the losses of the rows: none, mean, sum, or perplexity: exp of the mean.'
complete -c smcli -n '__smcli_is eval compare grad check scan limits explain methods' -s f -l format -r -f -a '(__smcli_format)' -d 'Output format: table, csv, github, html, json, markdown, plain, svg.'
complete -c smcli -n '__smcli_is eval compare grad check scan limits explain methods' -s o -l output -r -F -d 'Write to a file, in the format of its suffix unless -f names one.'
complete -c smcli -n '__smcli_is eval compare grad check scan limits explain methods' -l no-color -d 'No colours, whatever the terminal.'
complete -c smcli -n '__smcli_is eval compare grad check scan' -l summary -d 'Show only the summary of a batch.'
complete -c smcli -n '__smcli_is eval compare grad scan' -l fail-on -r -f -a '(__smcli_fail_on)' -d 'Exit with 1 on findings: never, note, warning, error, or codes.'
complete -c smcli -n '__smcli_is eval compare grad check scan' -l max-ulp -x -d 'Call a value accurate up to X ulp from the truth, and exit with 1 beyond that.'
complete -c smcli -n '__smcli_is eval compare grad check scan' -l max-rel -x -d 'Call a value accurate up to a relative error of X, and exit with 1 beyond that.'
complete -c smcli -n '__smcli_is eval compare grad check' -l all -d 'Show every class of long rows, and every row of a batch.'
complete -c smcli -n '__smcli_is eval compare grad check' -l top -x -d 'Show the N classes of a long row that matter most.'
complete -c smcli -n '__smcli_is eval compare grad check' -s v -l verbose -d 'Also show errors in ulp, verdicts, bounds and condition numbers.'
complete -c smcli -n '__smcli_is eval compare grad check' -l plot -r -F -d 'Also draw values and errors to an .svg file.'
complete -c smcli -n '__smcli_is eval' -s m -l method -r -f -a '(__smcli_method)' -d 'The method whose values to print; exact is the certified truth.'
complete -c smcli -n '__smcli_is eval' -s q -l quantity -r -f -a '(__smcli_quantity)' -d 'What to compute: softmax, log-softmax, logsumexp, cross-entropy, bce, sigmoid, log-sigmoid, entropy, kl, focal.'
complete -c smcli -n '__smcli_is eval compare grad check scan limits explain methods completions' -s h -l help -d 'Show this message and exit.'
complete -c smcli -n '__smcli_is compare scan' -s m -l method -r -f -a '(__smcli_method_of_compare)' -d 'Methods to run: names, all, libraries, or module:function of your own; `smcli methods` lists them.'
complete -c smcli -n '__smcli_is compare' -s q -l quantity -r -f -a '(__smcli_quantity)' -d 'What to compute: softmax, log-softmax, logsumexp, cross-entropy, bce, sigmoid, log-sigmoid, entropy, kl, focal.'
complete -c smcli -n '__smcli_is grad' -s m -l method -r -f -a '(__smcli_method_of_grad)' -d 'Methods to run: names, all, libraries, or module:function of your own; fd is finite differences.'
complete -c smcli -n '__smcli_is grad' -s q -l quantity -r -f -a '(__smcli_quantity_of_grad)' -d 'The loss to differentiate: cross-entropy or bce or entropy or kl or focal.'
complete -c smcli -n '__smcli_is grad' -l step -x -d 'Step of finite differences, the method fd.'
complete -c smcli -n '__smcli_is grad' -l cotangent -x -d 'Compute the product of this vector and the Jacobian of softmax.'
complete -c smcli -n '__smcli_is grad' -l sweep -d 'Show the error of finite differences for many steps, and the best step.'
complete -c smcli -n '__smcli_is check' -s d -l dtype -r -f -a '(__smcli_dtype)' -d 'Number format of the outputs; the logits are rounded to it, too, or to --logits-dtype.'
complete -c smcli -n '__smcli_is check' -l fail-on -r -f -a '(__smcli_fail_on)' -d 'Exit with 1 on findings: never, note, warning, error, or codes.'
complete -c smcli -n '__smcli_is check' -l logits-dtype -r -f -a '(__smcli_compute)' -d 'Number format in which the code that is checked took the logits.'
complete -c smcli -n '__smcli_is check' -s q -l quantity -r -f -a '(__smcli_quantity_of_check)' -d 'What the outputs are values of: softmax, log-softmax, logsumexp, cross-entropy, bce, sigmoid, log-sigmoid, entropy, kl, focal, gradient, jacobian.'
complete -c smcli -n '__smcli_is check' -l out-key -x -d 'Which array of OUT to read; --key is that of LOGITS.'
complete -c smcli -n '__smcli_is check' -l rtol -x -d 'Judge a tolerance, too: |output - truth| <= A + R*|truth|; for the exit code: --max-rel.'
complete -c smcli -n '__smcli_is check' -l atol -x -d 'The A of --rtol.'
complete -c smcli -n '__smcli_is scan' -s d -l dtype -r -f -a '(__smcli_dtype)' -d 'Number format to compute in: float64 float32 float16 bfloat16 float8_e4m3fn float8_e5m2.'
complete -c smcli -n '__smcli_is scan' -s q -l quantity -r -f -a '(__smcli_quantity)' -d 'What to compute: softmax, log-softmax, logsumexp, cross-entropy, bce, sigmoid, log-sigmoid, entropy, kl, focal.'
complete -c smcli -n '__smcli_is scan' -l quick -d 'Compute nothing: look for nan, inf, masked rows, and logits that exp cannot take.'
complete -c smcli -n '__smcli_is scan' -l jobs -x -d 'How many processes work; the result is the same.'
complete -c smcli -n '__smcli_is scan' -l scheduler -x -d 'Let the workers of a Dask cluster work instead, such as tcp://host:8786.'
complete -c smcli -n '__smcli_is scan' -l keep-going -d 'Go on past a file that cannot be read, and exit with 2 at the end.'
complete -c smcli -n '__smcli_is limits' -l compute -r -f -a '(__smcli_compute)' -d 'Show what computing in this wider format does to logits of the formats.'
